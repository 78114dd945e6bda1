"""From an export to the datasets `campus_train`, `campus_val` and `campus_test` that Detectron2 knows."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json

from campus_seg.atomic_writes import write_json
from campus_seg.config import CLASSES_FILE, SPLIT_FILE, export_options
from campus_seg.data.groups import group_photos
from campus_seg.data.split_file import Placed, absent_photos, read_split, write_split
from campus_seg.data.splits import SPLITS, SplitPhoto, split_photos
from campus_seg.label_studio.export import Export, read_export
from campus_seg.palette import class_colors
from campus_seg.storage import is_uri
from campus_seg.storage_cache import local_path

# What an import leaves in a run's folder.
IMPORT_FOLDER = "import"  # images/ and campus_<split>.json
REPORT_FILE = "import_report.json"


def dataset_name(split: str) -> str:
    """The name under which a split is registered."""
    return f"campus_{split}"


def split_of(name: str) -> str:
    """The split that is registered under a name."""
    return name.removeprefix(dataset_name(""))


def image_folder(output_dir: Path) -> Path:
    """The folder that the file names of a run's COCO files are relative to."""
    return output_dir / IMPORT_FOLDER / "images"


def coco_file(output_dir: Path, split: str) -> Path:
    """The COCO file of one split of a run."""
    return output_dir / IMPORT_FOLDER / f"{dataset_name(split)}.json"


def choose_splits(
    export: Export, shares: list[float], seed: int, earlier: Mapping[str, Placed] | None = None, group_by: str = ""
) -> dict[str, list[str]]:
    """The split of an export's photos: where an earlier run put those it knew, a new draw for the others.

    The export's report counts the groups, the photos of the largest and those that the earlier split knew.

    Args:
        export: the photos.
        shares: of train, val and test; see `split_photos`.
        seed: of the draw.
        earlier: the earlier split, as `read_split` gives it.
        group_by: CAMPUS.GROUP_BY. A pattern of names finds absent photos of the earlier split, too; looks are compared
            of the photos that are there.

    Raises:
        ConfigError: `group_by` is no pattern, or shares are no shares.
    """
    earlier = earlier or {}
    hashes = export.content_hashes()
    absent = absent_photos(earlier, hashes)
    groups = group_photos(export, hashes, absent, group_by)
    sizes = Counter(groups[name] for name in hashes)
    export.report.counts["photo_groups"] = len(sizes)
    export.report.counts["largest_photo_group"] = max(sizes.values())
    photos = []
    for photo in export.photos:
        sha256 = hashes[photo.name]
        known = earlier.get(sha256) or earlier.get(photo.name)  # files of earlier versions know names alone
        labels = frozenset(annotation.label for annotation in photo.annotations)
        photos.append(SplitPhoto(photo.name, labels, sha256, groups[photo.name], known.split if known else ""))
    if earlier:
        export.report.counts["photos_in_earlier_split"] = sum(bool(photo.home) for photo in photos)
    others = [SplitPhoto(known.name, group=groups[each], home=known.split) for each, known in absent.items()]
    return split_photos(photos, shares, seed, others)


def write_datasets(
    export: Export,
    splits: dict[str, list[str]],
    output_dir: Path,
    source: str = "",
    earlier: Mapping[str, Placed] | None = None,
) -> None:
    """Writes a run's photos, one COCO file a split, classes.json, split.json and import_report.json.

    Args:
        export: what was read.
        splits: split -> names of photos.
        output_dir: the run's folder.
        source: where the export came from, for the report.
        earlier: the split that this one extends, as `read_split` gives it.
    """
    file_names = export.place_photos(image_folder(output_dir))
    photos = {photo.name: photo for photo in export.photos}
    for split, names in splits.items():
        coco = export.to_coco([photos[name] for name in names], file_names)
        write_json(coco_file(output_dir, split), coco, indent=None)
    write_json(output_dir / CLASSES_FILE, export.classes)
    write_split(output_dir / SPLIT_FILE, splits, export.content_hashes(), earlier or {})
    # Last, so that where it lies the import is whole.
    write_json(output_dir / REPORT_FILE, {"export": source, **export.report.as_dict()})


def register_export(cfg: CfgNode) -> None:
    """Imports `cfg.CAMPUS.EXPORT` into OUTPUT_DIR and makes its splits known to Detectron2: for a script of one's own.

    tools/train_net.py does the same, and checks more. Called again it keeps the photos where OUTPUT_DIR has them.

    Args:
        cfg: not frozen; it is fitted to the data, see `fit_config`.

    Raises:
        CampusError: the export cannot be used, or a key says what cannot be.
    """
    output_dir = Path(cfg.OUTPUT_DIR)
    own = output_dir / SPLIT_FILE
    split_file = cfg.CAMPUS.SPLIT_FILE or (own if own.is_file() else "")
    earlier = read_split(local_path(split_file)) if split_file else {}
    export = read_export(cfg.CAMPUS.EXPORT, export_options(cfg))
    splits = choose_splits(export, list(cfg.CAMPUS.SPLIT), cfg.CAMPUS.SPLIT_SEED, earlier, cfg.CAMPUS.GROUP_BY)
    write_datasets(export, splits, output_dir, cfg.CAMPUS.EXPORT, earlier)
    register_datasets(output_dir, export.classes)
    fit_config(cfg, export.classes, splits)


def fit_config(cfg: CfgNode, classes: list[str], splits: Mapping[str, list[str]]) -> None:
    """Sets CAMPUS.CLASSES and MODEL.ROI_HEADS.NUM_CLASSES, and takes splits without a photo out of DATASETS.TEST."""
    cfg.CAMPUS.CLASSES = list(classes)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(classes)
    filled = {dataset_name(split) for split in SPLITS if splits[split]}
    cfg.DATASETS.TEST = tuple(name for name in cfg.DATASETS.TEST if name in filled)


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
        DatasetCatalog.register(name, lambda f=json_file, r=image_root, n=name: _load(f, r, n))
        MetadataCatalog.get(name).set(
            json_file=json_file,
            image_root=image_root,
            evaluator_type="coco",
            thing_classes=list(classes),
            thing_colors=class_colors(len(classes)),
        )


def _load(json_file: str, image_root: str, name: str) -> list[dict]:
    """Detectron2's own reader, which takes a URI for a path below `image_root`."""
    records = load_coco_json(json_file, image_root, name)
    for record in records:
        below = record["file_name"].removeprefix(f"{image_root}/")
        if is_uri(below):
            record["file_name"] = below
    return records
