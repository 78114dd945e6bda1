import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_seg.config import load_config
from campus_seg.data.mapper import CampusMapper
from campus_seg.data.sampler import EpochDataset, EpochSampler, repeat_factors, upright_photos


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


@given(upright=st.lists(st.booleans(), min_size=1, max_size=40), batch=st.integers(1, 6), start=st.integers(0, 90))
def test_batches_of_one_orientation(upright, batch, start):
    size = len(upright)

    def drawn(start, count):
        sampler = EpochSampler(size, seed=1, start=start, upright=torch.tensor(upright), batch=batch)
        return list(itertools.islice(sampler, count))

    whole = drawn(0, 190 + 3 * size)
    for epoch in range(3):
        ours = range(epoch * size, (epoch + 1) * size)
        assert sorted(whole[i] for i in ours) == list(ours)
        orientations = [
            {upright[position % size] for position in whole[i : i + batch]}
            for i in range(0, len(whole), batch)
            if i in ours and i + batch - 1 in ours
        ]
        most = sum(upright) // batch + (size - sum(upright)) // batch
        assert sum(len(found) == 1 for found in orientations) >= most - 1  # one may go to end the last epoch's batch
    assert drawn(start, 100) == whole[start : start + 100]


def test_every_ranks_share_of_a_batch_has_one_orientation(monkeypatch):
    monkeypatch.setattr("campus_seg.data.sampler.comm.get_world_size", lambda: 2)
    upright = torch.tensor([True, False] * 8)
    drawn = []
    for rank in (0, 1):
        monkeypatch.setattr("campus_seg.data.sampler.comm.get_rank", lambda rank=rank: rank)
        drawn.append(list(itertools.islice(EpochSampler(16, seed=0, upright=upright, batch=4), 8)))
    for step in range(4):
        assert len({position % 2 for rank in drawn for position in rank[2 * step : 2 * step + 2]}) == 1


def test_orientations_by_the_config():
    photos = [{"height": 3, "width": 2}, {"height": 2, "width": 2}, {"height": 2, "width": 3}]
    cfg = load_config("mask_rcnn_mini_FPN.yaml")
    assert upright_photos(cfg, photos).tolist() == [True, False, False]
    cfg.CAMPUS.RESIZE = "stretch"  # the model sees squares alone
    assert upright_photos(cfg, photos) is None
    cfg.CAMPUS.RESIZE = "fit"
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    assert upright_photos(cfg, photos) is None


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


def photo(*classes):
    return {"annotations": [{"category_id": i} for i in classes]}


def test_repeat_factors_by_hand():
    """Class 0 is in 4 of 8 photos, class 1 in 1, class 2 in 2; the threshold is a half."""
    photos = [photo(0, 0), photo(0), photo(0, 2), photo(0, 1), photo(2), photo(), photo(), photo()]
    opts = ["DATALOADER.REPEAT_THRESHOLD", "0.5", "DATALOADER.SAMPLER_TRAIN"]
    cfg = load_config("mask_rcnn_mini_FPN.yaml", [*opts, "RepeatFactorTrainingSampler"])
    # sqrt(0.5 / f), at least 1: for f = 1/2, 1/8, 1/4 that is 1, 2, 1.414; the rarest class of a photo decides.
    assert repeat_factors(cfg, photos).tolist() == pytest.approx([1, 1, 2**0.5, 2, 2**0.5, 1, 1, 1])
    cfg.DATALOADER.REPEAT_SQRT = False  # 0.5 / f: 1, 4, 2
    assert repeat_factors(cfg, photos).tolist() == [1, 1, 2, 4, 2, 1, 1, 1]
    cfg.DATALOADER.REPEAT_THRESHOLD = 0.0
    assert repeat_factors(cfg, photos).tolist() == [1] * 8
    assert repeat_factors(load_config("mask_rcnn_mini_FPN.yaml", [*opts, "TrainingSampler"]), photos) is None


def decoded(sampler, count):
    """(epoch, copy, index) of the first positions."""
    rest = [divmod(position, sampler.size) for position in itertools.islice(sampler, count)]
    return [(*divmod(stand, sampler.copies), index) for stand, index in rest]


def test_an_epoch_holds_the_photos_of_rare_classes_more_often():
    sampler = EpochSampler(4, seed=3, repeats=torch.tensor([1.0, 1.0, 3.0, 1.0]))
    assert sampler.copies == 3
    drawn = decoded(sampler, 12)
    for epoch, stands in enumerate((drawn[:6], drawn[6:])):
        assert sorted(stands) == [(epoch, 0, i) for i in range(4)] + [(epoch, 1, 2), (epoch, 2, 2)]
        assert stands != sorted(stands)
    assert [stand[1:] for stand in drawn[:6]] != [stand[1:] for stand in drawn[6:]]


def test_a_fraction_is_the_chance_of_once_more():
    sampler = EpochSampler(3, seed=0, repeats=torch.tensor([1.0, 1.25, 2.5]))
    drawn = [stand for stand in decoded(sampler, 3000) if stand[0] < 400]
    times = [sum(index == i for _, _, index in drawn) / 400 for i in range(3)]
    assert times[0] == 1
    assert times[1:] == pytest.approx([1.25, 2.5], abs=0.1)  # four standard deviations of 400 draws
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("start", [0, 3, 6, 7, 40])
def test_an_interrupted_order_with_repeats_goes_on(start):
    repeats = torch.tensor([1.0, 1.5, 2.25, 1.0])
    whole = list(itertools.islice(EpochSampler(4, seed=5, repeats=repeats), 60))
    assert list(itertools.islice(EpochSampler(4, seed=5, start=start, repeats=repeats), 60 - start)) == whole[start:]


def test_factors_of_one_change_nothing_but_the_order():
    sampler = EpochSampler(5, seed=1, repeats=torch.ones(5))
    positions = list(itertools.islice(sampler, 10))
    assert sorted(positions) == list(range(10)) and max(positions[:5]) == 4


def test_a_photos_second_stand_in_an_epoch_is_augmented_anew(monkeypatch):
    dataset = EpochDataset([{"image_id": 10}, {"image_id": 11}], copies=2)
    assert dataset[1] == {"image_id": 11, "epoch": 0}
    assert dataset[3] == {"image_id": 11, "epoch": 0, "copy": 1}
    assert dataset[5] == {"image_id": 11, "epoch": 1}
    seeds = []
    mapper = CampusMapper(load_config("mask_rcnn_mini_FPN.yaml"))
    monkeypatch.setattr(
        mapper, "augmentation", lambda image, objects, seed: (seeds.append(seed), (image, objects.without_specks()))[1]
    )
    monkeypatch.setattr(
        "campus_seg.data.mapper._read", lambda file_name: torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()
    )
    monkeypatch.setattr(mapper, "wants_masks", False)
    for position in (1, 3, 5):
        mapper({**dataset[position], "file_name": "a.jpg"})
    assert seeds == [(42, 0, 11), (42, 0, 11, 1), (42, 1, 11)]
