import hashlib
import io
import json

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from drawn import draw_export, encode, read_drawn
from PIL import Image
from pycocotools.coco import COCO

from campus_seg.config import load_config
from campus_seg.data.datasets import choose_splits, register_datasets, register_export, write_datasets
from campus_seg.data.split_file import Placed, read_split
from campus_seg.errors import ConfigError, ExportError
from campus_seg.label_studio.export import read_export
from campus_seg.label_studio.options import ExportOptions

SHARES = [0.6, 0.2, 0.2]


@pytest.fixture
def export(tmp_path):
    return read_export(str(draw_export(photos=10).write_zip(tmp_path / "export.zip")), ExportOptions())


def test_written_and_registered(export, tmp_path):
    output = tmp_path / "run"
    splits = choose_splits(export, SHARES, 0)
    write_datasets(export, splits, output)
    for _ in range(2):  # a second run in one process replaces the first
        register_datasets(output, export.classes)
    seen = []
    for split, names in splits.items():
        dicts = DatasetCatalog.get(f"campus_{split}")
        metadata = MetadataCatalog.get(f"campus_{split}")
        coco = COCO(metadata.json_file)
        assert len(dicts) == len(names) == len(coco.imgs)
        assert min(coco.anns) == 1 and min(coco.imgs) == 1
        assert metadata.thing_classes == export.classes
        assert metadata.thing_dataset_id_to_contiguous_id == {1: 0, 2: 1, 3: 2}
        assert len({tuple(color) for color in metadata.thing_colors}) == 3
        for photo in dicts:
            source = next(p for p in export.photos if p.name.endswith(photo["file_name"].split("/")[-1]))
            seen.append(source.name)
            labels = [metadata.thing_classes[a["category_id"]] for a in photo["annotations"]]
            assert labels == [a.label for a in source.annotations]
            for a, b in zip(photo["annotations"], source.annotations, strict=True):
                np.testing.assert_allclose(a["bbox"], b.box)
    assert sorted(seen) == [photo.name for photo in export.photos]
    hashes = {f"images/{n}": hashlib.sha256(b).hexdigest() for n, b in draw_export(photos=10).photos.items()}
    written = {split: {name: hashes[name] for name in names} for split, names in splits.items()}
    assert json.loads((output / "split.json").read_text()) == written
    assert json.loads((output / "classes.json").read_text()) == export.classes
    report = json.loads((output / "import_report.json").read_text())
    assert report["counts"]["photos"] == 10 and report["unused_labels"] == ["bench"]


def config(*opts):
    return load_config("mask_rcnn_mini_FPN.yaml", [str(each) for each in opts])


def test_one_call_registers_an_export_for_a_script_of_ones_own(tmp_path):
    output, drawn = tmp_path / "run", draw_export(photos=10)
    opts = ["CAMPUS.EXPORT", tmp_path / "export.zip", "OUTPUT_DIR", output, "CAMPUS.SPLIT", "[0.8, 0.0, 0.2]"]
    for _ in range(2):
        drawn.write_zip(tmp_path / "export.zip")
        cfg = config(*opts)
        register_export(cfg)
        assert cfg.CAMPUS.CLASSES == ["car", "dog", "person"] and cfg.MODEL.ROI_HEADS.NUM_CLASSES == 3
        assert (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == (("campus_train",), ("campus_test",))
        assert [len(DatasetCatalog.get(f"campus_{split}")) for split in ("train", "val", "test")] == [8, 0, 2]
        assert MetadataCatalog.get("campus_train").thing_classes == cfg.CAMPUS.CLASSES
        drawn = renamed(drawn, 1)  # the second time the same photos come in another order
    homes = {split: set(names.values()) for split, names in json.loads((output / "split.json").read_text()).items()}
    more = draw_export(photos=20)
    more.write_zip(tmp_path / "export.zip")
    register_export(config(*opts, "CAMPUS.SPLIT_SEED", 5))
    for split, names in json.loads((output / "split.json").read_text()).items():
        assert homes[split] <= set(names.values())


@pytest.mark.parametrize(
    ("more", "error"), [(["CAMPUS.EXPORT", "nowhere.zip"], ExportError), (["CAMPUS.GROUP_BY", "("], ConfigError)]
)
def test_an_export_or_a_key_that_cannot_be_used_registers_nothing(tmp_path, more, error):
    export = draw_export(photos=3).write_zip(tmp_path / "export.zip")
    with pytest.raises(error):
        register_export(config("CAMPUS.EXPORT", export, "OUTPUT_DIR", tmp_path / "run", *more))
    assert not (tmp_path / "run").exists()


def test_two_photos_of_one_name_in_a_zip_are_both_kept(tmp_path):
    drawn = draw_export(photos=2)
    first, second = list(drawn.photos)
    drawn.photos = {"a/photo.jpg": drawn.photos[first], "b/photo.jpg": drawn.photos[second]}
    for image, folder in zip(drawn.coco["images"], "ab", strict=True):
        image["file_name"] = f"images/{folder}/photo.jpg"
    export = read_export(str(drawn.write_zip(tmp_path / "export.zip")), ExportOptions())
    placed = export.place_photos(tmp_path / "images")
    contents = {name: (tmp_path / "images" / file_name).read_bytes() for name, file_name in placed.items()}
    assert contents == {f"images/{name}": content for name, content in drawn.photos.items()}


def test_a_saved_split_is_kept_and_extended(export, tmp_path):
    """In the form of earlier versions, by name."""
    saved = tmp_path / "split.json"
    splits = choose_splits(export, SHARES, 0)
    saved.write_text(json.dumps(splits))
    assert choose_splits(export, [1, 0, 0], 99, read_split(saved)) == splits
    gone = export.photos.pop(0).name
    kept = choose_splits(export, SHARES, 0, read_split(saved))
    assert kept == {split: [name for name in names if name != gone] for split, names in splits.items()}
    test = [name for name in splits["test"] if name != gone]
    saved.write_text(json.dumps({**splits, "test": []}))
    extended = choose_splits(export, [1, 0, 0], 0, read_split(saved))  # photos it does not know are drawn anew
    assert set(test) <= set(extended["train"]) and set(kept["train"]) <= set(extended["train"])
    assert extended["val"] == kept["val"]


def renamed(drawn, number):
    """The same photos as a later export calls them, in another order."""
    names = {name: f"{number:08x}__{name}" for name in drawn.photos}
    later = draw_export(photos=0)
    later.coco = json.loads(json.dumps(drawn.coco))
    for image in later.coco["images"]:
        folder, _, name = image["file_name"].rpartition("/")
        image["file_name"] = f"{folder}/{names[name]}"
    later.photos = {names[name]: content for name, content in reversed(drawn.photos.items())}
    return later


def by_content(splits, export):
    hashes = export.content_hashes()
    return {hashes[name]: split for split, names in splits.items() for name in names}


@pytest.mark.parametrize("group_by", ["", "perceptual"])
def test_photos_that_come_and_go_through_three_exports(group_by, tmp_path):
    """Renamed each time; what is gone in the second comes back in the third where it was."""
    drawn = draw_export(photos=30)
    saved, homes = {}, {}
    for number, photos in enumerate([range(0, 20), range(5, 25), range(0, 30)]):
        later = renamed(drawn, number)
        later.coco["images"] = [image for image in later.coco["images"] if image["id"] in photos]
        later.coco["annotations"] = [a for a in later.coco["annotations"] if a["image_id"] in photos]
        export = read_drawn(later, tmp_path)
        splits = choose_splits(export, SHARES, number, saved, group_by)
        write_datasets(export, splits, tmp_path / f"run{number}", earlier=saved)
        now = by_content(splits, export)
        assert len(now) == len(photos)
        assert all(now[sha256] == split for sha256, split in homes.items() if sha256 in now)
        assert export.report.counts["photos_in_earlier_split"] == len(now.keys() & homes.keys())
        homes.update(now)
        saved = read_split(tmp_path / f"run{number}" / "split.json")
        assert {sha256: placed.split for sha256, placed in saved.items()} == homes
    if not group_by:
        assert [len(splits[split]) for split in ("train", "val", "test")] == [18, 6, 6]
    assert "absent" not in json.loads((tmp_path / "run2/split.json").read_text())


def test_names_alone_draw_no_other_split(tmp_path):
    drawn = draw_export(photos=20)
    first, second = (read_drawn(renamed(drawn, number), tmp_path) for number in range(2))
    one, two = (by_content(choose_splits(export, SHARES, 0), export) for export in (first, second))
    assert one == two


def test_a_burst_goes_where_its_absent_photo_is(tmp_path):
    export = read_drawn(draw_export(photos=6), tmp_path)
    earlier = {"f" * 64: Placed("test", "images/photo_99.jpg")}
    assert len(choose_splits(export, [0.8, 0.1, 0.1], 0, earlier, "^photo")["test"]) == 6
    assert export.report.counts["largest_photo_group"] == 6 and export.report.counts["photo_groups"] == 1


def test_a_burst_is_on_one_side(tmp_path):
    drawn = draw_export(photos=12)
    first, *others = list(drawn.photos)[:5]
    pixels = np.asarray(Image.open(io.BytesIO(drawn.photos[first])))
    for factor, name in zip([0.85, 0.9, 0.95, 1.1], others, strict=True):
        drawn.photos[name] = encode((pixels * factor).clip(0, 255).astype(np.uint8))
    export = read_drawn(drawn, tmp_path)
    for seed in range(5):
        splits = choose_splits(export, SHARES, seed, group_by="perceptual")
        assert export.report.counts["largest_photo_group"] == 5 and export.report.counts["photo_groups"] == 8
        burst = {f"images/{name}" for name in (first, *others)}
        assert [burst & {*names} for names in splits.values() if burst & {*names}] == [burst]
        assert all(splits.values())
