import itertools
import time
from types import SimpleNamespace

import pytest
from detectron2.data import build_detection_train_loader

from campus_seg.data import loading
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


def remote(count):
    """Photos behind URIs, of which none has to be there: whoever reads them would say so."""
    return [{"file_name": f"s3://b/{number}.jpg", "image_id": number} for number in range(count)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start", [0, 3, 12])
def test_the_order_goes_on_where_it_was_with_photos_behind_uris(bucket, workers, start):
    dataset = EpochDataset(remote(7))
    whole = list(itertools.islice(loader(dataset, EpochSampler(7, seed=3), workers), 9))
    ahead = loader(ReadAhead(dataset, EpochSampler(7, seed=3, start=start), 3), None, workers)
    assert list(itertools.islice(ahead, 9 - start // 3)) == whole[start // 3 :]


def test_photos_are_fetched_before_their_turn(bucket):
    bucket.objects = {f"b/{number}.jpg": b"photo" for number in range(7)}
    ahead = iter(ReadAhead(EpochDataset(remote(7)), EpochSampler(7, seed=3), 3))
    next(ahead)
    for _ in range(500):
        if bucket.calls["get"] == 7:
            break
        time.sleep(0.01)
    assert bucket.calls["get"] == 7


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("place", ["s3://b", "/nowhere"])
def test_a_pass_has_each_photo_once_and_in_order(bucket, monkeypatch, workers, place):
    photos = [{"file_name": f"{place}/{number}.jpg", "image_id": number} for number in range(5)]
    monkeypatch.setattr(loading, "get_detection_dataset_dicts", lambda *_, **__: photos)
    cfg = SimpleNamespace(DATALOADER=SimpleNamespace(NUM_WORKERS=workers))
    one_pass = loading.build_test_loader(cfg, "campus_val", lambda photo: photo)
    assert [batch[0]["image_id"] for batch in one_pass] == [0, 1, 2, 3, 4] and len(one_pass) == 5
