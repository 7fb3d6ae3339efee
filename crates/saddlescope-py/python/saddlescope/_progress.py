"""Progress of long computations, by tqdm where it is installed."""

from contextlib import contextmanager


def _bar(**options):
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("a progress bar needs tqdm: pip install tqdm, or leave progress out") from error
    return tqdm(**options)


@contextmanager
def solver_progress(progress):
    """What solvers call: ``None``, the caller's function, or a bar."""
    if not progress:
        yield None
    elif callable(progress):
        yield progress
    else:
        bar = _bar(unit=" products")

        def watch(stage, products, max_products, ritz, estimate):
            bar.set_description_str(stage, refresh=False)
            if ritz:
                bar.set_postfix_str(f"λ {ritz[0][0]:.5g} … {ritz[-1][0]:.5g}, residual {max(abs(r) for _, r in ritz):.1e}", refresh=False)
            elif estimate:
                bar.set_postfix_str(f"{estimate[0]:.5g} ± {estimate[1]:.1e}", refresh=False)
            bar.update(products - bar.n)

        try:
            yield watch
        finally:
            bar.close()


class StageBars:
    """One bar for each stage of an analysis."""

    def __init__(self):
        self.bar = None
        self.write = _bar(disable=True).write

    def begin(self, stage, steps):
        self.end("")  # A stage in parts tells the end of the last one only.
        # Where the number of steps is not known, nor is it known whether there are any: only the time is told.
        plain = {"bar_format": "{desc}: {n_fmt} [{elapsed}{postfix}]"} if steps is None else {}
        self.bar = _bar(desc=stage, total=steps, **plain)

    def advance(self, done, note):
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(done - self.bar.n)

    def end(self, note):
        if self.bar is not None:
            if note:
                self.bar.set_postfix_str(note)
            self.bar.close()
            self.bar = None

    def note(self, text):
        self.write(text)

    def plan(self, seconds, products, size):
        self.write(f"about {seconds:.0f} s, {products} products, {size / 2**20:.0f} MiB")

    def close(self):
        self.end("")
