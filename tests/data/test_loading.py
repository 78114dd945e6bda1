import itertools

import pytest
from detectron2.data import build_detection_train_loader

from campus_seg.data.loading import ReadAhead
from campus_seg.data.sampler import EpochDataset, EpochSampler


def loader(dataset, sampler, workers):
    return build_detection_train_loader(
        dataset,
        mapper=lambda photo: photo,
        sampler=sampler,
        total_batch_size=3,
        aspect_ratio_grouping=False,
        num_workers=workers,
    )


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_order_is_that_of_detectron2s_loader(workers):
    dataset = EpochDataset([{"file_name": f"/{number}.jpg", "image_id": number} for number in range(7)])
    usual = loader(dataset, EpochSampler(7, seed=3), workers)
    ahead = loader(ReadAhead(dataset, EpochSampler(7, seed=3), 3), None, workers)
    assert list(itertools.islice(ahead, 9)) == list(itertools.islice(usual, 9))
