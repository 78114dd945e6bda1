import itertools

import pytest
import torch

from campus_seg.data.sampler import EpochDataset, EpochSampler


def test_each_epoch_has_every_photo_once_in_an_order_of_its_own():
    positions = list(itertools.islice(EpochSampler(7, seed=5), 21))
    epochs = [positions[i : i + 7] for i in (0, 7, 14)]
    for epoch, drawn in enumerate(epochs):
        assert sorted(drawn) == list(range(epoch * 7, epoch * 7 + 7))
    orders = [[p % 7 for p in drawn] for drawn in epochs]
    assert orders[0] != orders[1] != orders[2]
    assert positions == list(itertools.islice(EpochSampler(7, seed=5), 21))
    assert positions != list(itertools.islice(EpochSampler(7, seed=6), 21))


@pytest.mark.parametrize("start", [0, 3, 7, 18])
def test_an_interrupted_order_goes_on(start):
    whole = list(itertools.islice(EpochSampler(7, seed=5), 30))
    assert list(itertools.islice(EpochSampler(7, seed=5, start=start), 30 - start)) == whole[start:]


def test_ranks_share_an_epoch(monkeypatch):
    monkeypatch.setattr("campus_seg.data.sampler.comm.get_world_size", lambda: 2)
    drawn = []
    for rank in (0, 1):
        monkeypatch.setattr("campus_seg.data.sampler.comm.get_rank", lambda rank=rank: rank)
        drawn += itertools.islice(EpochSampler(8, seed=0), 4)
    assert sorted(drawn) == list(range(8))


def test_the_epoch_travels_with_the_photo():
    dataset = EpochDataset([{"image_id": 10}, {"image_id": 11}, {"image_id": 12}])
    assert dataset[0] == {"image_id": 10, "epoch": 0}
    assert dataset[7] == {"image_id": 11, "epoch": 2}
    loader = torch.utils.data.DataLoader(
        dataset, sampler=EpochSampler(3, seed=0), batch_size=None, num_workers=1, collate_fn=dict
    )
    assert [d["epoch"] for d in itertools.islice(loader, 7)] == [0, 0, 0, 1, 1, 1, 2]


def test_no_photos():
    with pytest.raises(ValueError, match="no photo"):
        EpochSampler(0, seed=0)
