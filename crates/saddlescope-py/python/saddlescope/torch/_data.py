"""Batches: where they come from, their weights, their parts, and whether they are the same each time."""

import hashlib
from collections.abc import Mapping

import torch


def token_weight(batch, shift=1, ignored=-100):
    """The number of target tokens of a batch that count: the weight with which HuggingFace's mean loss is an exact mean over tokens.

    Parameters
    ----------
    batch : dict
        With ``labels`` of shape (batch, tokens).
    shift : int
        Leading positions that predict nothing: 1 for causal language models, 0 for masked ones.
    ignored : int
        Label that does not count.
    """
    return int((batch["labels"][..., shift:] != ignored).sum())


def tensors(batch):
    """All tensors of a batch, in a fixed order."""
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for key in batch:
            yield from tensors(batch[key])
    elif isinstance(batch, (tuple, list)):
        for part in batch:
            yield from tensors(part)


def convert(batch, f):
    """The batch with `f` applied to its tensors."""
    if isinstance(batch, torch.Tensor):
        return f(batch)
    if isinstance(batch, Mapping):
        return {key: convert(value, f) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        parts = [convert(part, f) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch


def size(batch):
    """Number of samples: the length of the first axis of the first tensor."""
    for tensor in tensors(batch):
        if tensor.ndim > 0:
            return tensor.shape[0]
    return 1


def part(batch, start, stop):
    """Samples `start` to `stop`: every tensor of the batch whose first axis counts samples is cut."""
    whole = size(batch)
    return convert(batch, lambda t: t[start:stop] if t.ndim > 0 and t.shape[0] == whole else t)


def _is_tensors(data):
    if isinstance(data, torch.Tensor):
        return True
    if isinstance(data, Mapping):
        return all(isinstance(value, torch.Tensor) for value in data.values())
    return isinstance(data, tuple) and len(data) > 0 and all(isinstance(part, torch.Tensor) for part in data)


class Batches:
    """The data as a sequence of batches that is the same in every pass.

    Parameters
    ----------
    data : DataLoader, iterable of batches, or tensors
        A tuple or dict of tensors is cut into batches.
    batch_size : int, optional
        Samples of a batch where tensors are cut (256 by default).
    coupled : bool
        Whether the samples of a batch depend on each other: tensors are then one batch by default.
    """

    def __init__(self, data, batch_size, coupled=False):
        self.notes, self.cut = [], False
        if _is_tensors(data):
            counts = {t.shape[0] if t.ndim else None for t in tensors(data)}
            if coupled and batch_size is None:
                self._source = [data]
            elif len(counts) != 1 or None in counts:
                raise ValueError(
                    f"the tensors have {', '.join(sorted(map(str, counts)))} samples (first axis); expected one number, or coupled=True for "
                    "tensors that belong together (graphs, sets)"
                )
            else:
                step, whole = batch_size or 256, counts.pop()
                self.cut = True
                self._source = [part(data, i, min(i + step, whole)) for i in range(0, whole, step)]
        elif isinstance(data, torch.utils.data.DataLoader):
            self._source = self._in_order(data)
            if data.num_workers > 0 and not data.persistent_workers:
                self.notes.append("The loader starts its workers anew for every product: persistent_workers=True keeps them.")
        elif iter(data) is data:
            # A generator can be read once only.
            self._source = list(data)
            self.notes.append("The data were given as an iterator and are kept in memory.")
        else:
            self._source = data

    def _in_order(self, loader):
        """The loader without shuffling: every pass must see the same batches."""
        from torch.utils.data import BatchSampler, DataLoader, RandomSampler

        if not isinstance(getattr(loader, "sampler", None), RandomSampler):
            return loader
        if loader.batch_size is None or type(loader.batch_sampler) is not BatchSampler:
            raise ValueError(
                "the loader shuffles in a way of its own, so that every pass sees other batches; give one that does not shuffle"
            )
        self.notes.append("The loader shuffles; its samples were taken in order, the last batch included.")
        return DataLoader(loader.dataset, batch_size=loader.batch_size, shuffle=False, collate_fn=loader.collate_fn,
                          num_workers=loader.num_workers, pin_memory=loader.pin_memory, persistent_workers=loader.persistent_workers)

    def __iter__(self):
        return iter(self._source)

    def look(self):
        """One pass: SHA-256 of all batches and the number of them. Refuses data that differ between passes.

        Returns
        -------
        fingerprint : str
        first : batch or None
        """
        whole, first, first_hash = hashlib.sha256(), None, None
        for index, batch in enumerate(self):
            digest = _hash(batch)
            whole.update(digest)
            if index == 0:
                first, first_hash = batch, digest
                if next(tensors(batch), None) is None:
                    raise ValueError(f"the first batch is of type {type(batch).__name__} and holds no tensor: give tensors (torch.from_numpy makes them "
                                     "of arrays), a DataLoader, or batches of tensors")
        if first is not None and _hash(next(iter(self))) != first_hash:
            raise ValueError(
                "the first batch differs between two passes over the data: turn off shuffling and random augmentation, or give the "
                "batches as a list"
            )
        return whole.hexdigest(), first


def _hash(batch):
    h = hashlib.sha256()
    for tensor in tensors(batch):
        tensor = tensor.detach().cpu().contiguous()
        h.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        h.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return h.digest()
