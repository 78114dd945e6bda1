"""A dataset in a sampler's order whose files, where they lie behind URIs, are fetched before their turn."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, build_detection_test_loader, get_detection_dataset_dicts
from detectron2.data.samplers import InferenceSampler
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, get_worker_info

from campus_seg.read_ahead import read_ahead
from campus_seg.storage import is_uri


def build_test_loader(cfg: CfgNode, dataset_name: str, mapper: Callable[[dict[str, Any]], Any]) -> DataLoader:
    """One pass over a dataset in its order, which the ranks share, as Detectron2's loader gives it."""
    dicts = get_detection_dataset_dicts(dataset_name, filter_empty=False)
    dataset, sampler = DatasetFromList(dicts, copy=False), InferenceSampler(len(dicts))
    if any(is_uri(photo["file_name"]) for photo in dicts):
        dataset, sampler = ReadAhead(dataset, sampler, 1), None
    workers = cfg.DATALOADER.NUM_WORKERS
    return build_detection_test_loader(dataset, mapper=mapper, sampler=sampler, num_workers=workers)


class ReadAhead(IterableDataset):
    """A dataset in a sampler's order, as Detectron2's loaders make of both, with the photos' files fetched ahead.

    Args:
        dataset: of dataset dicts, with "file_name".
        sampler: endless, or of one pass.
        chunk: photos of a batch, which one worker makes.
    """

    def __init__(self, dataset: Dataset, sampler: Sampler, chunk: int):
        self._dataset, self._sampler, self._chunk = dataset, sampler, chunk

    def __iter__(self) -> Iterator[dict[str, Any]]:
        photos = (self._dataset[position] for position in self._own(iter(self._sampler)))
        return read_ahead(photos, lambda photo: photo["file_name"])

    def __len__(self) -> int:
        """Photos of a pass; TypeError where the sampler is endless."""
        return len(self._sampler)

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
