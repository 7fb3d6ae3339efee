"""A few samples from all over the data, to see whether a loss is the mean over samples wherever they come from."""

from collections.abc import Mapping

import torch

from ._data import convert, part, size, tensors

#: The label that losses of PyTorch and HuggingFace leave out.
IGNORED = -100

#: Most batches that samples are taken from.
_BATCHES = 16


class Mixed:
    """Single samples of batches from the whole data; those with labels that do not count are among them."""

    def __init__(self):
        self._seen, self._every, self._rows, self._ignored = 0, 1, {}, []

    def add(self, batch):
        index, count = self._seen, size(batch)
        self._seen += 1
        if not self._ignored and is_padded(batch) and len(labels(batch)) == count:
            ignored = (labels(batch) == IGNORED).reshape(count, -1).any(1)
            self._ignored = [_row(batch, i) for i in [*_first_two(ignored), *_first_two(~ignored)]]
        if index % self._every or count == 0:
            return
        places = {i * (count - 1) // 15 for i in range(16)} if index == 0 else {0, count // 2, count - 1}
        self._rows[index] = [_row(batch, i) for i in sorted(places)]
        if len(self._rows) > _BATCHES:
            self._every *= 2
            self._rows = {i: rows for i, rows in self._rows.items() if i % self._every == 0}

    def samples(self, most):
        """At most so many samples as one batch, or None where they do not fit together."""
        # First those of which there are few: one of every batch, then the others.
        lists = [*self._rows.values()]
        order = [rows[i] for i in range(16) for rows in lists if i < len(rows)]
        rows = (self._ignored + order)[:most]
        shapes = {tuple((tuple(t.shape), t.dtype) for t in tensors(row)) for row in rows}
        if len(rows) < 2 or len(shapes) != 1 or any(not shape or shape[0] != 1 for shape, _ in next(iter(shapes))):
            return None
        columns = zip(*map(tensors, rows))
        return convert(rows[0], lambda _: torch.cat(next(columns)))


def _row(batch, i):
    # A copy, since a part would keep the whole batch in memory.
    return convert(part(batch, i, i + 1), torch.clone)


def _first_two(mask):
    return torch.nonzero(mask).reshape(-1)[:2].tolist()


def labels(batch):
    """The labels of a batch, or None: ``labels`` of a dict, the last tensor of a tuple."""
    found = batch.get("labels") if isinstance(batch, Mapping) else batch[-1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None
    return found if isinstance(found, torch.Tensor) and found.ndim > 0 and not found.is_floating_point() else None


def is_padded(batch):
    """Whether labels say that some samples or tokens do not count."""
    found = labels(batch)
    return found is not None and bool((found == IGNORED).any())
