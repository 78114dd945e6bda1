"""A dataset in a sampler's order whose files, where they lie behind URIs, are fetched before their turn."""

import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset, IterableDataset, Sampler, get_worker_info

from campus_seg.read_ahead import read_ahead


class ReadAhead(IterableDataset):
    """A dataset in a sampler's order, as Detectron2's loaders make of both, with the photos' files fetched ahead.

    Args:
        dataset: of dataset dicts, with "file_name".
        sampler: endless.
        chunk: photos of a batch, which one worker makes.
    """

    def __init__(self, dataset: Dataset, sampler: Sampler, chunk: int):
        self._dataset, self._sampler, self._chunk = dataset, sampler, chunk

    def __iter__(self) -> Iterator[dict[str, Any]]:
        photos = (self._dataset[position] for position in self._own(iter(self._sampler)))
        return read_ahead(photos, lambda photo: photo["file_name"])

    def _own(self, positions: Iterator[int]) -> Iterator[int]:
        """Those of this worker, a batch at a time: the workers take turns."""
        worker = get_worker_info()
        if worker is None:
            yield from positions
            return
        for turn in itertools.count():
            batch = list(itertools.islice(positions, self._chunk))
            if not batch:
                return
            if turn % worker.num_workers == worker.id:
                yield from batch
