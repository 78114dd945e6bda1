"""The mapper on drawn photos: outlines, masks, boxes, classes, colours and draws."""

import copy

import albumentations as A
import cv2
import numpy as np
import pycocotools.mask
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.structures import BitMasks, PolygonMasks
from PIL import Image

from campus_seg.config import add_campus_config
from campus_seg.data.augmentations import Augmentation
from campus_seg.data.mapper import CampusMapper
from campus_seg.errors import ConfigError, ExportError

HEIGHT, WIDTH = 96, 128
RED, GREEN = (255, 0, 0), (0, 255, 0)


def square(x, y, side=20):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def holed(height=HEIGHT, width=WIDTH):
    """A frame with a hole, as compressed COCO RLE, and its mask."""
    mask = np.zeros((height, width), np.uint8)
    mask[20:80, 30:100] = 1
    mask[40:60, 50:80] = 0
    return pycocotools.mask.encode(np.asfortranarray(mask)), mask


def photo(tmp_path, *objects, **fields):
    """A dataset dict; `objects` are (category, segmentation)."""
    path = tmp_path / "photo.png"
    if not path.exists():
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[:48], pixels[48:] = RED, GREEN
        pixels += np.random.default_rng(0).integers(0, 9, pixels.shape, dtype=np.uint8) * (pixels == 0)
        Image.fromarray(pixels).save(path)
    annotations = [
        {"category_id": category, "segmentation": segmentation, "bbox": [0, 0, 1, 1], "bbox_mode": 1, "iscrowd": 0}
        for category, segmentation in objects
    ]
    return {
        "file_name": str(path),
        "height": HEIGHT,
        "width": WIDTH,
        "image_id": 7,
        "annotations": annotations,
    } | fields


def mapper(*transforms, **changes):
    arguments = {
        "is_train": True,
        "augmentation": Augmentation(A.Compose(list(transforms))) if transforms else None,
        "input_size": WIDTH,
        "resize": "fit",
        "image_format": "BGR",
        "mask_format": "polygon",
        "seed": 0,
    }
    return CampusMapper(**(arguments | changes))


def bitmasks(instances):
    """(N, H, W) bool, whatever the instances hold."""
    if isinstance(instances.gt_masks, BitMasks):
        return instances.gt_masks.tensor.numpy()
    return BitMasks.from_polygon_masks(instances.gt_masks, *instances.image_size).tensor.numpy()


def test_without_an_augmentation_objects_come_as_they_are(tmp_path):
    record = photo(tmp_path, (4, [square(10, 12)]), (2, [square(60, 30), square(90, 70)]))
    before = copy.deepcopy(record)
    result = mapper()(record)
    assert record == before
    assert set(result) == {"file_name", "height", "width", "image_id", "image", "instances"}
    instances = result["instances"]
    assert instances.image_size == (HEIGHT, WIDTH)
    assert instances.gt_classes.tolist() == [4, 2]
    assert instances.gt_classes.dtype == torch.int64
    assert instances.gt_boxes.tensor.tolist() == [[10, 12, 30, 32], [60, 30, 110, 90]]
    assert isinstance(instances.gt_masks, PolygonMasks)
    assert [len(parts) for parts in instances.gt_masks.polygons] == [1, 2]
    np.testing.assert_allclose(instances.gt_masks.polygons[1][1], square(90, 70))


@pytest.mark.parametrize(("image_format", "top"), [("BGR", RED[::-1]), ("RGB", RED)])
def test_colours_are_in_the_models_order(tmp_path, image_format, top):
    image = mapper(image_format=image_format)(photo(tmp_path))["image"]
    assert image.dtype == torch.uint8
    assert tuple(image.shape) == (3, HEIGHT, WIDTH)
    assert (image[:, 5, 5].numpy() - np.array(top)).max() < 10
    # Colour transforms see RGB: this one leaves the first of them alone.
    gone = A.ChannelDropout(channel_drop_range=(2, 2), p=1)
    gone.get_params_dependent_on_data = lambda params, data: {"channels_to_drop": [1, 2]}
    image = mapper(gone, image_format=image_format)(photo(tmp_path))["image"]
    red = 0 if image_format == "RGB" else 2
    assert image[red, :48].min() == 255
    assert image.sum() == image[red].sum()


@pytest.mark.parametrize(
    ("resize", "size", "box"),
    [("fit", (192, 256), [20, 24, 60, 64]), ("stretch", (256, 256), [20, 12 * 256 / 96, 60, 32 * 256 / 96])],
)
def test_the_resize_comes_first_and_takes_the_objects_along(tmp_path, resize, size, box):
    rle, mask = holed()
    for record in (photo(tmp_path, (0, [square(10, 12)])), photo(tmp_path, (0, [square(10, 12)]), (1, rle))):
        result = mapper(input_size=256, resize=resize)(record)
        assert tuple(result["image"].shape) == (3, *size)
        assert (result["height"], result["width"]) == (HEIGHT, WIDTH)
        np.testing.assert_allclose(result["instances"].gt_boxes.tensor[0], box, atol=1)
    whole = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
    seen = result["instances"].gt_masks.tensor[1].numpy()
    assert (whole & seen).sum() / (whole | seen).sum() > 0.98


def test_prediction_only_resizes(tmp_path):
    result = mapper(A.HorizontalFlip(p=1), is_train=False, input_size=64)(photo(tmp_path, (0, [square(10, 12)])))
    assert tuple(result["image"].shape) == (3, 48, 64)
    assert "instances" not in result
    assert "annotations" not in result


def test_a_holed_mask_keeps_its_hole_and_a_flip_of_both_forms_agrees(tmp_path):
    rle, mask = holed()
    for segmentation in (rle, {"size": rle["size"], "counts": rle["counts"].decode()}, uncompressed(mask)):
        result = mapper(A.HorizontalFlip(p=1))(photo(tmp_path, (3, [square(4, 4)]), (5, segmentation)))
        instances = result["instances"]
        assert isinstance(instances.gt_masks, BitMasks)
        assert instances.gt_masks.tensor.dtype == torch.bool
        np.testing.assert_array_equal(instances.gt_masks.tensor[1].numpy(), mask[:, ::-1].astype(bool))
        assert instances.gt_boxes.tensor.tolist() == [[WIDTH - 24, 4, WIDTH - 4, 24], [28, 20, 98, 80]]
        assert instances.gt_classes.tolist() == [3, 5]


def uncompressed(mask):
    column_wise = mask.T.ravel()
    changes = np.flatnonzero(np.diff(column_wise)) + 1
    counts = np.diff([0, *changes, column_wise.size]).tolist()
    return {"size": list(mask.shape), "counts": counts}


@pytest.mark.parametrize("mask_format", ["polygon", "bitmask"])
def test_parts_crop_and_classes(tmp_path, mask_format):
    """One object is whole, one loses a part, one is cut, one is gone; the classes stay with their objects."""
    record = photo(
        tmp_path,
        (9, [square(0, 0)]),
        (1, [square(50, 40)]),
        (2, [square(50, 10, 10), square(2, 10, 10)]),
        (3, [square(90, 40)]),
        (4, [square(110, 80, 10)]),
    )
    instances = mapper(A.Crop(40, 0, 100, 70, p=1), mask_format=mask_format)(record)["instances"]
    assert instances.image_size == (70, 60)
    assert instances.gt_classes.tolist() == [1, 2, 3]
    assert instances.gt_boxes.tensor.tolist() == [[10, 40, 30, 60], [10, 10, 20, 20], [50, 40, 60, 60]]
    assert bitmasks(instances).sum(axis=(1, 2)).tolist() == [400, 100, 200]


def test_boxes_are_tight(tmp_path):
    """Against brute force: the first and last row and column that hold the mask."""
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    objects = []
    for index, (x, y) in enumerate([(30, 30), (90, 50), (64, 80)]):
        ring = np.stack([x + (14 + 5 * np.cos(3 * angle)) * np.cos(angle), y + 15 * np.sin(angle)], axis=1)
        objects.append((index, [ring.ravel().tolist()]))
    for mask_format, tolerance in (("polygon", 1.0), ("bitmask", 0)):
        spin = mapper(A.Rotate((30, 30), p=1), mask_format=mask_format, input_size=384)
        instances = spin(photo(tmp_path, *objects))["instances"]
        for mask, box in zip(bitmasks(instances), instances.gt_boxes.tensor.numpy(), strict=True):
            rows, columns = np.nonzero(mask)
            brute = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            np.testing.assert_allclose(box, brute, atol=tolerance)


@pytest.mark.parametrize(
    ("transform", "mask_format", "kind"),
    [
        (A.HorizontalFlip(p=1), "polygon", PolygonMasks),
        (A.HorizontalFlip(p=1), "bitmask", BitMasks),
        (A.ElasticTransform(p=1), "polygon", BitMasks),
    ],
)
def test_a_photo_without_objects_gives_instances_of_the_same_kind(tmp_path, transform, mask_format, kind):
    augmented = mapper(transform, mask_format=mask_format)
    for record in (photo(tmp_path), photo(tmp_path, (0, [square(30, 30)]))):
        instances = augmented(record)["instances"]
        assert isinstance(instances.gt_masks, kind)
        assert len(instances) == len(record["annotations"])
        assert tuple(instances.gt_boxes.tensor.shape) == (len(instances), 4)
        assert instances.gt_classes.dtype == torch.int64


def test_crowds_are_left_out(tmp_path):
    record = photo(tmp_path, (0, [square(30, 30)]), (1, holed()[0]))
    record["annotations"][1]["iscrowd"] = 1
    instances = mapper()(record)["instances"]
    assert instances.gt_classes.tolist() == [0]
    assert isinstance(instances.gt_masks, PolygonMasks)


def test_an_outline_that_a_perspective_puts_behind_the_camera_is_followed_as_a_mask(tmp_path):
    steep = A.Perspective(p=1)
    warp = np.array([[1, 0, 0], [0, 1, 0], [-1 / 100, 0, 1.0]])
    steep.get_params_dependent_on_data = lambda params, data: {
        "matrix": warp,
        "max_height": HEIGHT,
        "max_width": WIDTH,
        "matrix_bbox": warp,
    }
    near, far = (0, [square(10, 10)]), (1, [[10, 60, 120, 60, 120, 90, 10, 90]])
    assert isinstance(mapper(steep)(photo(tmp_path, near))["instances"].gt_masks, PolygonMasks)
    assert isinstance(mapper(steep)(photo(tmp_path, near, far))["instances"].gt_masks, BitMasks)


def config(**changes):
    cfg = get_cfg()
    add_campus_config(cfg)
    cfg.CAMPUS.INPUT_SIZE = 160
    for key, value in changes.items():
        cfg.merge_from_list([key.replace("__", "."), value])
    return cfg


def same(a, b):
    ours, theirs = a["instances"], b["instances"]
    return torch.equal(a["image"], b["image"]) and torch.equal(ours.gt_boxes.tensor, theirs.gt_boxes.tensor)


def test_the_same_seed_epoch_and_photo_give_the_same_bytes_in_any_order(tmp_path):
    objects = [(0, [square(30, 30)])]
    records = [photo(tmp_path, *objects, image_id=i, epoch=e) for i in (0, 1, "a.jpg", "b.jpg") for e in (0, 1, 2)]
    default = CampusMapper(config(), is_train=True)
    first = [default(record) for record in records]
    other = CampusMapper(config(), is_train=True)
    for record, result in zip(records[::-1], first[::-1], strict=True):
        assert same(other(record), result)
    for index, result in enumerate(first):
        twins = [i for i, another in enumerate(first) if same(result, another)]
        assert len(twins) < 4, (index, twins)  # nothing but "no transform at all" may come twice
    seeded = CampusMapper(config(SEED=5), is_train=True)
    assert not all(same(seeded(record), result) for record, result in zip(records, first, strict=True))


def test_where_no_epoch_is_said_numpys_random_state_draws(tmp_path):
    """As in a stock loader, whose photos come without: each time another draw, yet the same again by a seed."""
    record, default = photo(tmp_path, (0, [square(30, 30)])), CampusMapper(config(), is_train=True)
    runs = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        runs.append([default(record) for _ in range(6)])
    first, again, other = runs
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))
    assert sum(same(first[0], result) for result in first) < 4


@pytest.mark.parametrize("name", ["campus.yaml", "original_2023.yaml"])
def test_workers_make_no_difference(tmp_path, name):
    records = [photo(tmp_path, (0, [square(30, 30)]), image_id=i, epoch=1) for i in range(6)]
    mapped = CampusMapper(config(CAMPUS__AUGMENTATIONS=name), is_train=True)

    class Photos(torch.utils.data.Dataset):
        def __len__(self):
            return len(records)

        def __getitem__(self, index):
            return mapped(records[index])

    alone, shared = (
        list(torch.utils.data.DataLoader(Photos(), batch_size=None, num_workers=workers)) for workers in (0, 2)
    )
    assert all(same(a, b) for a, b in zip(alone, shared, strict=True))


def test_the_config_is_read(tmp_path):
    train = CampusMapper(config(), is_train=True)
    assert (train.seed, train.input_size, train.resize, train.wants_masks) == (0, 160, "fit", False)
    assert train.augmentation.name.endswith("campus.yaml")
    assert CampusMapper(config(CAMPUS__AUGMENTATIONS=""), is_train=True).augmentation is None
    assert CampusMapper(config(), is_train=False).augmentation is None
    assert CampusMapper(config(INPUT__MASK_FORMAT="bitmask"), is_train=True).wants_masks


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CAMPUS.RESIZE", "crop"),
        ("INPUT.FORMAT", "L"),
        ("INPUT.MASK_FORMAT", "rle"),
        ("CAMPUS.INPUT_SIZE", 0),
        ("CAMPUS.AUGMENTATIONS", "none.yaml"),
    ],
)
def test_a_value_that_cannot_be_is_refused(key, value):
    with pytest.raises(ConfigError, match=key if key != "CAMPUS.AUGMENTATIONS" else "none.yaml"):
        CampusMapper(config(**{key.replace(".", "__"): value}), is_train=True)


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (lambda tmp: photo(tmp, width=96, height=128), "128 x 96 pixels upright, its annotations are for 96 x 128"),
        (lambda tmp: photo(tmp, (0, [])), "annotation 0 has no outline"),
        (lambda tmp: photo(tmp, (0, [square(1, 1)]), (0, None)), "annotation 1 has no outline"),
        (lambda tmp: photo(tmp, (0, [square(1, 1), [1, 2, 3, 4]])), "annotation 0 has no outline"),
        (lambda tmp: photo(tmp, (0, holed(30, 120)[0])), "annotation 0 has a mask of another size"),
    ],
)
def test_a_fault_of_the_export_is_named_with_the_photo(tmp_path, record, word):
    with pytest.raises(ExportError, match=f"photo.png: .*{word}"):
        mapper()(record(tmp_path))


def test_a_photo_that_lies_on_its_side_is_read_upright(tmp_path):
    record = photo(tmp_path, (0, [square(10, 12)]))
    pixels = Image.open(record["file_name"])
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.jpg", exif=exif, quality=98)
    result = mapper()(record | {"file_name": str(tmp_path / "lying.jpg")})
    assert tuple(result["image"].shape) == (3, HEIGHT, WIDTH)
    difference = result["image"].float() - mapper()(record)["image"].float()
    assert difference.abs().mean() < 8
