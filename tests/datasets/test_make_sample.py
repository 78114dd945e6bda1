"""The drawn sample: the form of its export, and whether its polygons say what its photos show."""

import hashlib
import importlib
import io
import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
CATEGORIES = ["bench", "car", "cat", "dog", "fire extinguisher", "horse statue", "person"]
PHOTOS, SEED = 10, 3


@pytest.fixture(scope="module")
def drawing():
    """The scripts in datasets/, which import each other by their bare names as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DATASETS)
        names = ["make_sample", "campus_scenes", "campus_objects"]
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture(scope="module")
def sample(drawing, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "new" / "sample.zip"
    drawing.make_sample.make_sample(path, PHOTOS, SEED)
    return path


@pytest.fixture(scope="module")
def result(sample) -> dict:
    with zipfile.ZipFile(sample) as archive:
        return json.loads(archive.read("result.json"))


@pytest.fixture(scope="module")
def scenes(drawing) -> list:
    empty = drawing.make_sample.EMPTY
    return [drawing.campus_scenes.draw_scene(SEED, i, empty=i in empty) for i in range(PHOTOS)]


def rasterise(ring: np.ndarray) -> np.ndarray:
    """A ring (K, 2) as COCO's own code fills it: (480, 640) bool."""
    return coco_mask.decode(coco_mask.frPyObjects([ring.ravel().tolist()], 480, 640))[..., 0].astype(bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def ring_of(annotation: dict) -> np.ndarray:
    return np.array(annotation["segmentation"][0]).reshape(-1, 2)


def test_result_has_label_studios_keys(result):
    assert list(result) == ["images", "categories", "annotations", "info"]
    assert {tuple(image) for image in result["images"]} == {("width", "height", "id", "file_name")}
    assert {tuple(category) for category in result["categories"]} == {("id", "name")}
    assert {tuple(annotation) for annotation in result["annotations"]} == {
        ("id", "image_id", "category_id", "segmentation", "bbox", "ignore", "iscrowd", "area")
    }
    assert list(result["info"]) == ["year", "version", "description", "contributor", "url", "date_created"]


def test_keys_are_those_of_a_real_export(result, real_exports):
    with zipfile.ZipFile(real_exports / "coco_with_images_host.zip") as archive:
        real = json.loads(archive.read("result.json"))
    assert list(result) == list(real)
    assert list(result["info"]) == list(real["info"])
    for kind in ("images", "categories", "annotations"):
        assert list(result[kind][0]) == list(real[kind][0])


def test_ids_and_categories(result):
    assert [image["id"] for image in result["images"]] == list(range(PHOTOS))
    assert [annotation["id"] for annotation in result["annotations"]] == list(range(len(result["annotations"])))
    assert [(c["id"], c["name"]) for c in result["categories"]] == list(enumerate(CATEGORIES))
    assert CATEGORIES.index("cat") not in {annotation["category_id"] for annotation in result["annotations"]}


def test_zip_and_result_name_the_same_photos(sample, result):
    with zipfile.ZipFile(sample) as archive:
        names = archive.namelist()
        text = archive.read("result.json").decode()
    assert names[0] == "images/"
    stored = {Path(name).name for name in names if name.endswith(".jpg")}
    assert stored == {Path(image["file_name"]).name for image in result["images"]}
    assert len(stored) == PHOTOS
    assert r"..\/ls\/data\/media\/upload\/1\/" in text  # Label Studio's writer escapes slashes
    plain = [image["file_name"] for image in result["images"] if "%" not in image["file_name"]]
    assert all(re.fullmatch(r"\.\./ls/data/media/upload/1/[0-9a-f]{8}-campus_\d{4}\.jpg", name) for name in plain)


def test_odd_name_stays_encoded_in_the_zip(sample, result):
    (name,) = [image["file_name"] for image in result["images"] if "%" in image["file_name"]]
    assert re.fullmatch(r"images/[0-9a-f]{8}__[0-9a-f]{8}-Campus_S%C3%BCd_[\w%]+\.jpg", name)
    assert unquote(name).endswith("-Campus_Süd_Übersicht_学校_0003.jpg")
    with zipfile.ZipFile(sample) as archive:
        assert name in archive.namelist()


def test_every_photo_has_the_size_the_export_states(sample, result):
    with zipfile.ZipFile(sample) as archive:
        stored = {Path(name).name: name for name in archive.namelist() if name.endswith(".jpg")}
        for image in result["images"]:
            photo = Image.open(io.BytesIO(archive.read(stored[Path(image["file_name"]).name])))
            turned = image["id"] == 2
            assert photo.format == "JPEG"
            assert photo.size == (image["width"], image["height"]) == ((480, 640) if turned else (640, 480))
            assert photo.getexif().get(0x0112, 1) == (6 if turned else 1)


def test_photos_without_objects(result):
    labelled = {annotation["image_id"] for annotation in result["annotations"]}
    assert set(range(PHOTOS)) - labelled == {1, 4}


def test_polygons_are_the_silhouettes(result, scenes):
    for scene, image in zip(scenes, result["images"], strict=True):
        own = [annotation for annotation in result["annotations"] if annotation["image_id"] == image["id"]]
        assert [CATEGORIES[annotation["category_id"]] for annotation in own] == scene.categories
        for annotation, mask, ring in zip(own, scene.masks, scene.polygons, strict=True):
            assert mask.sum() >= 500
            assert iou(rasterise(ring), mask) >= (0.97 if mask.sum() > 32 * 32 else 0.94)
            if annotation["segmentation"] and image["id"] != 2:
                np.testing.assert_allclose(ring_of(annotation), ring, atol=0.001)
                assert annotation["area"] == pytest.approx(mask.sum(), rel=0.03)


def test_polygons_stay_in_the_photo(scenes):
    for ring in (ring for scene in scenes for ring in scene.polygons):
        assert ring.min() >= 0
        assert (ring <= (640, 480)).all()


def test_rectangles_have_a_box_and_no_segmentation(result, scenes):
    rectangles = [annotation for annotation in result["annotations"] if annotation["segmentation"] == []]
    assert [annotation["image_id"] for annotation in rectangles] == [5, 6, 8]
    for annotation in rectangles:
        y, x = np.nonzero(scenes[annotation["image_id"]].masks[0])
        box = [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
        np.testing.assert_allclose(annotation["bbox"], box, atol=1)
        assert annotation["area"] == pytest.approx(annotation["bbox"][2] * annotation["bbox"][3])


def test_turned_photo_is_stored_turned_and_its_polygons_squashed(sample, result, scenes):
    own = [annotation for annotation in result["annotations"] if annotation["image_id"] == 2]
    assert len(own) == len(scenes[2].categories) > 0
    with zipfile.ZipFile(sample) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("campus_0002.jpg")]
        seen = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(archive.read(name)))))
    assert seen.shape == (480, 640, 3)
    assert np.abs(seen.astype(float) - scenes[2].photo).mean() < 8  # JPEG's loss; a wrong turn would be far above
    for annotation, mask in zip(own, scenes[2].masks, strict=True):
        squashed = ring_of(annotation)
        assert (squashed <= (480, 640)).all()
        assert iou(rasterise(squashed * (640 / 480, 480 / 640)), mask) >= 0.95
        assert iou(rasterise(squashed), mask) < 0.9


def test_squashing_by_hand(drawing):
    ring = np.array([(64.0, 48.0), (320.0, 48.0), (320.0, 240.0), (64.0, 240.0)])
    # 10 % to 50 % of 640 x 480, times the stored 480 x 640.
    annotation = drawing.make_sample.annotation_of(ring, "car", (480 / 640, 640 / 480), rectangle=False)
    assert annotation["segmentation"] == [[48.0, 64.0, 240.0, 64.0, 240.0, 320.0, 48.0, 320.0]]
    assert annotation["bbox"] == [48.0, 64.0, 192.0, 256.0]
    assert annotation["area"] == 192 * 256
    assert annotation["category_id"] == 1


def test_same_seed_same_bytes_and_another_seed_other_bytes(drawing, sample, tmp_path):
    digests = []
    for seed in (SEED, SEED + 1):
        path = tmp_path / f"{seed}.zip"
        drawing.make_sample.make_sample(path, PHOTOS, seed)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == hashlib.sha256(sample.read_bytes()).hexdigest()
    assert digests[0] != digests[1]


def test_chosen_classes_alone_are_drawn(drawing, tmp_path):
    chosen = ["fire extinguisher", "person"]
    drawing.make_sample.make_sample(tmp_path / "two.zip", PHOTOS, SEED, chosen)
    with zipfile.ZipFile(tmp_path / "two.zip") as archive:
        result = json.loads(archive.read("result.json"))
    assert [category["name"] for category in result["categories"]] == CATEGORIES  # as labels that nobody used
    assert {CATEGORIES[each["category_id"]] for each in result["annotations"]} == set(chosen)


def test_a_photo_does_not_depend_on_the_count(drawing, sample, result, tmp_path):
    short = tmp_path / "short.zip"
    drawing.make_sample.make_sample(short, 4, SEED)
    with zipfile.ZipFile(short) as few, zipfile.ZipFile(sample) as many:
        photos = [name for name in few.namelist() if name != "result.json"]
        assert len(photos) == 1 + 4
        assert all(few.read(name) == many.read(name) for name in photos)
        part = json.loads(few.read("result.json"))
    assert part["images"] == result["images"][:4]
    assert part["annotations"] == [annotation for annotation in result["annotations"] if annotation["image_id"] < 4]


def test_nothing_is_left_when_drawing_fails(drawing, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("out of paint")

    monkeypatch.setattr(drawing.make_sample, "draw_scene", fail)
    with pytest.raises(RuntimeError, match="out of paint"):
        drawing.make_sample.make_sample(tmp_path / "sample.zip", 2, 0)
    assert list(tmp_path.iterdir()) == []


def test_visible_masks_are_disjoint_and_in_one_piece(drawing, scenes):
    crowded = [drawing.campus_scenes.draw_scene(0, i) for i in (6, 13, 18)]
    touching = 0
    for scene in [*scenes, *crowded]:
        assert scene.masks.shape == (len(scene.categories), 480, 640)
        assert scene.masks.sum(0).max(initial=0) <= 1
        for k, mask in enumerate(scene.masks):
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
            assert stats[1:, cv2.CC_STAT_AREA].max() >= 0.97 * mask.sum()
            grown = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0
            touching += sum((grown & other).any() for other in scene.masks[k + 1 :])
    assert touching >= 3  # otherwise this shows nothing about occlusion


def square_sprite(drawing, side: int):
    cells = drawing.campus_scenes.GRID * side
    paint, alpha = np.zeros((side, side, 3), np.float32), np.ones((side, side), np.float32)
    return drawing.campus_scenes.Sprite(paint, alpha, np.ones((cells, cells), np.uint8), (side / 2, float(side)))


@pytest.mark.parametrize(
    ("occluder", "left"),
    [
        ((0, 0, 0, 0), 100 * 100),
        ((300, 200, 350, 250), 100 * 100 - 50 * 50),  # a corner
        ((290, 190, 310, 310), None),  # a bar through the middle leaves two parts
        ((290, 240, 310, 260), None),  # a hole
        ((200, 190, 310, 310), 40 * 100),
        ((200, 190, 320, 310), None),  # 30 % is too little
    ],
)
def test_what_one_polygon_can_say_of_a_hidden_square(drawing, occluder, left):
    # The square covers x 250 to 350 and y 200 to 300.
    hidden = np.zeros((960, 1280), np.uint8)
    x0, y0, x1, y1 = (2 * n for n in occluder)
    hidden[y0:y1, x0:x1] = 1
    mask = drawing.campus_scenes.visible_part(square_sprite(drawing, 100), (300, 300), hidden)
    assert (mask is None) if left is None else mask.sum() == left * 4


@pytest.mark.parametrize(
    ("foot", "columns"),
    [((0, 300), 50), ((-14, 300), 36), ((-16, 300), None), ((-200, 300), None), ((640, 300), 50), ((900, 300), None)],
)
def test_the_frame_cuts_and_what_it_cuts_counts_as_hidden(drawing, foot, columns):
    hidden = np.zeros((960, 1280), np.uint8)
    mask = drawing.campus_scenes.visible_part(square_sprite(drawing, 100), foot, hidden)
    assert (mask is None) if columns is None else mask.sum() == columns * 100 * 4


def test_trace_follows_the_edges_and_not_the_pixel_centres(drawing):
    mask = np.zeros((960, 1280), np.uint8)
    mask[100:300, 40:121] = 1  # y 50 to 150, x 20 to 60.5
    ring = drawing.campus_scenes.trace(mask)
    np.testing.assert_allclose(ring.min(0), (20, 50), atol=1e-9)
    np.testing.assert_allclose(ring.max(0), (60.5, 150), atol=1e-9)
    assert cv2.contourArea(ring.astype(np.float32)) == pytest.approx(100 * 40.5, rel=0.001)


def test_trace_of_a_disc_has_its_area(drawing):
    y, x = np.mgrid[:960, :1280] + 0.5
    mask = ((x - 601) ** 2 + (y - 401) ** 2 < 80**2).astype(np.uint8)  # centre 300.5, 200.5, radius 40 in the photo
    ring = drawing.campus_scenes.trace(mask)
    assert np.abs(np.hypot(*(ring - (300.5, 200.5)).T) - 40).max() < 0.4
    assert cv2.contourArea(ring.astype(np.float32)) == pytest.approx(np.pi * 40**2, rel=0.01)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("name", [name for name in CATEGORIES if name != "cat"])
def test_every_class_is_one_solid_object_of_the_size_asked_for(drawing, name, mirror):
    draw, _ = drawing.campus_objects.CLASSES[name]
    rng = np.random.default_rng(11)
    for _ in range(4):
        sprite = drawing.campus_scenes.render_object(draw(rng), 120, mirror, -1, rng)
        assert drawing.campus_scenes.is_one_piece(sprite.silhouette)
        _, _, w, h = cv2.boundingRect(sprite.silhouette)
        assert max(w, h) / 2 == pytest.approx(120, abs=1)
        # One open stroke of a tenth of the object's length in a square would cover 0.1.
        assert sprite.silhouette.sum() / (w * h) > 0.28
        assert sprite.colour.shape == (*sprite.alpha.shape, 3)
        assert sprite.alpha.max() == pytest.approx(1, abs=1e-5)
        assert (sprite.colour.max(-1) <= 255).all()
