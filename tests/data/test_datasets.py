import json

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from drawn import draw_export
from pycocotools.coco import COCO

from campus_seg.data.datasets import choose_splits, register_datasets, write_datasets
from campus_seg.errors import ConfigError
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
    assert json.loads((output / "split.json").read_text()) == splits
    assert json.loads((output / "classes.json").read_text()) == export.classes
    report = json.loads((output / "import_report.json").read_text())
    assert report["counts"]["photos"] == 10 and report["unused_labels"] == ["bench"]


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
    saved = tmp_path / "split.json"
    splits = choose_splits(export, SHARES, 0)
    assert choose_splits(export, SHARES, 0, saved) == splits  # a file that is not there is no split
    saved.write_text(json.dumps(splits))
    assert choose_splits(export, [1, 0, 0], 99, saved) == splits
    gone = export.photos.pop(0).name
    kept = choose_splits(export, SHARES, 0, saved)
    assert kept == {split: [name for name in names if name != gone] for split, names in splits.items()}
    test = [name for name in splits["test"] if name != gone]
    saved.write_text(json.dumps({**splits, "test": []}))
    extended = choose_splits(export, [1, 0, 0], 0, saved)  # photos it does not know are drawn anew
    assert set(test) <= set(extended["train"]) and set(kept["train"]) <= set(extended["train"])
    assert extended["val"] == kept["val"]


@pytest.mark.parametrize("content", ["{", '{"train": []}', "[1]"])
def test_a_split_that_cannot_be_read(export, content, tmp_path):
    saved = tmp_path / "split.json"
    saved.write_text(content)
    with pytest.raises(ConfigError, match="no split that can be read"):
        choose_splits(export, SHARES, 0, saved)
