"""From an export to the datasets `campus_train`, `campus_val` and `campus_test` that Detectron2 knows."""

import json
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json

from campus_seg.config import CLASSES_FILE
from campus_seg.data.splits import SPLITS, split_photos
from campus_seg.errors import ConfigError
from campus_seg.label_studio.export import Export
from campus_seg.palette import class_colors
from campus_seg.storage import write_json

# What an import leaves in a run's folder.
IMPORT_FOLDER = "import"  # images/ and campus_<split>.json
SPLIT_FILE = "split.json"
REPORT_FILE = "import_report.json"


def dataset_name(split: str) -> str:
    """The name under which a split is registered."""
    return f"campus_{split}"


def image_folder(output_dir: Path) -> Path:
    """The folder that the file names of a run's COCO files are relative to."""
    return output_dir / IMPORT_FOLDER / "images"


def coco_file(output_dir: Path, split: str) -> Path:
    """The COCO file of one split of a run."""
    return output_dir / IMPORT_FOLDER / f"{dataset_name(split)}.json"


def choose_splits(export: Export, shares: list[float], seed: int, saved: Path | None = None) -> dict[str, list[str]]:
    """The split of an export's photos: that of an earlier run where it knows them, else a new draw.

    Args:
        export: the photos.
        shares: of train, val and test.
        seed: of the draw.
        saved: an earlier run's split.json; a file that is not there is no split.

    Raises:
        ConfigError: the saved split is damaged, or shares are no shares.
    """
    names = [photo.name for photo in export.photos]
    if saved is None or not saved.is_file():
        return split_photos(names, shares, seed)
    try:
        splits = json.loads(saved.read_text(encoding="utf-8"))
        home = {name: split for split in SPLITS for name in splits[split]}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{saved}: no split that can be read ({error}); give another --config-file") from None
    drawn = split_photos([name for name in names if name not in home], shares, seed)
    kept = {split: [name for name in names if home.get(name) == split] for split in SPLITS}
    return {split: sorted(kept[split] + drawn[split]) for split in SPLITS}


def write_datasets(export: Export, splits: dict[str, list[str]], output_dir: Path, source: str = "") -> None:
    """Writes a run's photos, one COCO file a split, classes.json, split.json and import_report.json.

    Args:
        export: what was read.
        splits: split -> names of photos.
        output_dir: the run's folder.
        source: where the export came from, for the report.
    """
    file_names = export.place_photos(image_folder(output_dir))
    photos = {photo.name: photo for photo in export.photos}
    for split, names in splits.items():
        coco = export.to_coco([photos[name] for name in names], file_names)
        write_json(coco_file(output_dir, split), coco)
    write_json(output_dir / CLASSES_FILE, export.classes)
    write_json(output_dir / SPLIT_FILE, splits)
    # Last, so that where it lies the import is whole.
    write_json(output_dir / REPORT_FILE, {"export": source, **export.report.as_dict()})


def register_datasets(output_dir: Path, classes: list[str]) -> None:
    """Makes a run's splits known to Detectron2; those of an earlier call are replaced.

    The metadata has `thing_classes`, `thing_colors` (RGB, fixed for a class's place), `json_file` and `image_root`
    for COCOEvaluator.
    """
    for split in SPLITS:
        name = dataset_name(split)
        json_file = str(coco_file(output_dir, split))
        image_root = str(image_folder(output_dir))
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
        DatasetCatalog.register(name, lambda f=json_file, r=image_root, n=name: load_coco_json(f, r, n))
        MetadataCatalog.get(name).set(
            json_file=json_file,
            image_root=image_root,
            evaluator_type="coco",
            thing_classes=list(classes),
            thing_colors=class_colors(len(classes)),
        )
