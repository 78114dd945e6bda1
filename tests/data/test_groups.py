import io
import re
import time

import numpy as np
import pytest
from drawn import draw_export, encode, read_drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter

from campus_seg.data import groups
from campus_seg.data.groups import group_photos, join, look_alikes, name_mark, name_pattern, perceptual_hash
from campus_seg.data.split_file import Placed
from campus_seg.errors import ConfigError
from campus_seg.photos import PhotoError


def same_groups(numbers):
    """Groups as sets of places, whatever their numbers."""
    return {frozenset(np.flatnonzero(np.array(numbers) == number).tolist()) for number in set(numbers)}


def flooded(near):
    """Connected components of an (N, N) relation, found by flooding."""
    rest, found = set(range(len(near))), set()
    while rest:
        group = frontier = {min(rest)}
        while frontier:
            frontier = {j for i in frontier for j in np.flatnonzero(near[i])} - group
            group = group | frontier
        rest -= group
        found.add(frozenset(int(i) for i in group))
    return found


@pytest.mark.parametrize(
    "marks, expected",
    [
        ([], set()),
        ([["a"], ["b"]], {frozenset([0]), frozenset([1])}),
        ([["a"], ["a", 1], [1, "c"], ["d"]], {frozenset([0, 1, 2]), frozenset([3])}),
    ],
)
def test_join(marks, expected):
    assert same_groups(join(marks)) == expected


@pytest.mark.parametrize(
    "pattern, name, expected",
    [
        (r"^(.*)_\d+", "horse_12.jpg", ("horse",)),
        (r"^(.*)_\d+", "horse.jpg", None),
        (r"IMG_\d{3}", "IMG_1234.jpg", ("IMG_123",)),
        (r"(\d{8})_(\d{4})", "PXL_20230412_093012.jpg", ("20230412", "0930")),
    ],
)
def test_name_mark(pattern, name, expected):
    assert name_mark(re.compile(pattern), name) == expected


def test_name_pattern():
    assert name_pattern("") is None and name_pattern("perceptual") is None
    assert name_pattern("a(b)").pattern == "a(b)"
    for pattern, reason in [
        ("(", "missing )"),
        ("a{99999999999}", "too large"),
        ("(" * 9999 + ")" * 9999, "recursion"),
    ]:
        with pytest.raises(ConfigError, match=r"CAMPUS.GROUP_BY .*: no regular expression") as raised:
            name_pattern(pattern)
        assert reason in str(raised.value)


def test_groups_by_name_know_absent_photos_and_what_label_studio_puts_in_front(tmp_path):
    export = read_drawn(draw_export(photos=12), tmp_path)
    hashes = export.content_hashes()
    absent = {"f" * 64: Placed("test", "images/12345678__0000000c-photo_12.jpg"), "e" * 64: Placed("val", "other.jpg")}
    found = group_photos(export, hashes, absent, r"^(photo_1)\d")
    assert {name[-6:] for name in hashes if found[name] == found["f" * 64]} == {"10.jpg", "11.jpg"}
    assert len(set(found.values())) == 12  # ten photos, the other absent one, and the group of three
    found = group_photos(export, hashes, absent, r"photo_\d")  # without a group the whole match
    assert {name[-6:] for name in hashes if found[name] == found["f" * 64]} == {"_1.jpg", "10.jpg", "11.jpg"}
    assert len(set(group_photos(export, hashes, absent, "").values())) == 14


def hash_of(image, **how):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **{"quality": 95, **how})
    stream.seek(0)
    return perceptual_hash(stream)


def taken_again(image):
    """What a burst and a copy make of a photo."""
    width, height = image.size
    x, y = round(width * 0.02), round(height * 0.02)
    yield image.crop((x, y, width, height)), {}
    yield image.crop((0, y, width - x, height)), {}
    yield image.crop((x, y, width - x, height - y)), {"quality": 60}
    yield ImageEnhance.Brightness(image).enhance(1.15), {}
    yield ImageEnhance.Brightness(image).enhance(0.85), {}
    yield image, {"quality": 60}
    yield image.filter(ImageFilter.GaussianBlur(1.5)), {}
    yield image.rotate(1, Image.Resampling.BICUBIC).crop((x // 2, y // 2, width - x // 2, height - y // 2)), {}
    yield image.resize((width // 2, height // 2)), {}


def draw_photos(count):
    """Photos with structure at every scale, as real ones have: noise whose power falls with the frequency."""
    for i in range(count):
        rng = np.random.default_rng(i)
        frequency = np.hypot(np.fft.fftfreq(360)[:, None] * 360, np.fft.fftfreq(480)[None] * 480)
        wave = np.fft.fft2(rng.normal(size=(360, 480))) / np.maximum(1, frequency)
        wave[0, 0] = 0
        grey = np.fft.ifft2(wave).real
        yield Image.fromarray((128 + 50 * grey / grey.std()).clip(0, 255).astype(np.uint8)).convert("RGB")


def check_looks(photos):
    hashes, origin = [], []
    for i, photo in enumerate(photos):
        hashes.append(hash_of(photo))
        hashes += [hash_of(again, **how) for again, how in taken_again(photo)]
        origin += [i] * (len(hashes) - len(origin))
    assert same_groups(look_alikes(hashes)) == same_groups(origin)


def test_bursts_and_copies_are_together_and_other_photos_apart():
    check_looks(draw_photos(40))


def test_real_photos(real_exports, tmp_path):
    from campus_seg.label_studio.export import read_export
    from campus_seg.label_studio.options import ExportOptions

    export = read_export(str(real_exports / "coco_with_images_host.zip"), ExportOptions())
    found = group_photos(export, export.content_hashes(), {}, "perceptual")
    assert len(set(found.values())) == len(export.photos) > 50
    photos = []
    for photo in export.photos[::3]:
        with export.index.open(photo.name) as stream:
            photos.append(Image.open(stream).convert("RGB"))
    check_looks(photos)


def test_a_turned_copy_is_the_same_photo():
    scene = np.asarray(next(draw_photos(1)))[:, :300]
    upright = perceptual_hash(io.BytesIO(encode(scene)))
    stored = {3: np.rot90(scene, 2), 6: np.rot90(scene), 8: np.rot90(scene, -1), 2: scene[:, ::-1]}
    others = []
    for orientation, pixels in stored.items():
        content = encode(np.ascontiguousarray(pixels), orientation=orientation)
        others.append(perceptual_hash(io.BytesIO(content)))
        untold = perceptual_hash(io.BytesIO(encode(np.ascontiguousarray(pixels))))
        assert len(set(look_alikes([upright, untold]))) == 2
    assert len(set(look_alikes([upright, *others]))) == 1


def test_other_forms_of_one_photo():
    photo = next(draw_photos(1))
    grey = np.asarray(photo.convert("L"))
    forms = [
        photo.convert("RGBA"),
        photo.convert("P"),
        photo.convert("L"),
        Image.fromarray(grey.astype(np.uint16) * 257),
    ]
    hashes = [hash_of(photo)]
    for form in forms:
        stream = io.BytesIO()
        form.save(stream, "PNG")
        stream.seek(0)
        hashes.append(perceptual_hash(stream))
    assert len(set(look_alikes(hashes))) == 1


def test_a_photo_that_cannot_be_read_is_alone(tmp_path):
    drawn = draw_export(photos=3)
    name = next(iter(drawn.photos))
    content = encode(np.asarray(Image.open(io.BytesIO(drawn.photos[name]))), ending=".png")
    middle = len(content) // 2
    drawn.photos[name] = content[:middle] + b"damaged" + content[middle + 7 :]  # sound at both ends
    export = read_drawn(drawn, tmp_path)
    with pytest.raises(PhotoError), export.index.open(f"images/{name}") as stream:
        perceptual_hash(stream)
    found = group_photos(export, export.content_hashes(), {}, "perceptual")
    assert len(found) == len(set(found.values())) == 3
    with pytest.raises(PhotoError):
        perceptual_hash(io.BytesIO(b"no photo"))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(1, 3000), st.integers(0, 60))
def test_near_pairs_by_brute_force(seed, count, products, pairs):
    """In blocks of every size, with distances on both sides of both limits."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (count, 256), dtype=np.uint8)
    for _ in range(2 * count):
        copy = bits[rng.integers(len(bits))].copy()
        copy[rng.choice(64, rng.choice([0, 9, 10, 11, 12]), replace=False)] ^= 1
        copy[64 + rng.choice(192, rng.choice([0, 52, 53, 54, 55]), replace=False)] ^= 1
        bits = np.concatenate([bits, copy[None]])
    different = bits[:, None] != bits[None]
    near = (different[..., :64].sum(axis=2) <= 11) & (different.sum(axis=2) <= 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "MAX_PRODUCTS", products)
        patch.setattr(groups, "MAX_PAIRS", pairs)
        found = look_alikes([np.packbits(row).tobytes().hex() for row in bits])
    assert same_groups(found) == flooded(near)


@pytest.mark.parametrize("alike", [0, 15_000])
def test_many_photos_take_seconds(alike):
    """At random, and half of them of one scene, no two quite the same."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (30_000, 256), dtype=np.uint8)
    bits[:alike] = bits[0] ^ (rng.random((alike, 256)) < 0.05)
    hashes = [row.tobytes().hex() for row in np.packbits(bits, axis=1)]
    start = time.process_time()
    found = look_alikes(hashes + hashes[:1000])
    assert time.process_time() - start < 60
    assert len(set(found)) == 30_000 - max(0, alike - 1)
    assert found[30_000:] == found[:1000]
