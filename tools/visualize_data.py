#!/usr/bin/env python3
r"""Draws what a model is taught: the annotations on their photos, or what the augmentation makes of them.

Each photo becomes a picture, and contact_sheet.jpg shows up to 48 of them at once.

Example:
    tools/visualize_data.py --config-file configs/mask_rcnn_R_50_FPN.yaml --source augmented --output look \
        --opts CAMPUS.EXPORT my_export.zip
"""

import argparse
import tempfile
from pathlib import Path

from campus_seg.environment import require_detectron2
from campus_seg.errors import exits_on_bad_input

CONTACT_SHEET, ON_IT = "contact_sheet", 48


def get_parser():
    """The command's arguments, named as in Detectron2's tool of the same name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True, metavar="FILE", help="a run's config.yaml or one of configs/")
    parser.add_argument("--source", choices=["annotation", "augmented"], required=True, help="what to draw")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="give them last")
    return parser


@exits_on_bad_input
def main(argv=None):
    """Reads the export as a training does, and draws every photo of it."""
    args = get_parser().parse_args(argv)
    require_detectron2()
    from detectron2.data import DatasetCatalog
    from tqdm import tqdm

    from campus_seg.atomic_writes import check_output_folder
    from campus_seg.config import export_options, load_config
    from campus_seg.data.datasets import dataset_name, register_datasets, write_datasets
    from campus_seg.data.mapper import CampusMapper
    from campus_seg.inference.contact_sheet import contact_sheet, evenly_spaced, thumbnail
    from campus_seg.inference.labelled import draw_annotations, draw_augmented
    from campus_seg.label_studio.export import read_export
    from campus_seg.palette import class_colors

    output = Path(args.output)
    check_output_folder(output)
    cfg = load_config(args.config_file, args.opts)
    export = read_export(cfg.CAMPUS.EXPORT, export_options(cfg))
    mapper = CampusMapper(cfg, is_train=True)
    classes = export.classes, class_colors(len(export.classes))
    with tempfile.TemporaryDirectory() as folder:
        everything = {"train": [photo.name for photo in export.photos], "val": [], "test": []}
        write_datasets(export, everything, Path(folder))
        register_datasets(Path(folder), export.classes)
        photos = DatasetCatalog.get(dataset_name("train"))
        shown = set(evenly_spaced(len(photos), ON_IT))
        taken, thumbnails, names = {CONTACT_SHEET}, [], []
        for i, photo in enumerate(tqdm(photos, desc="drawing", unit="photo", disable=None)):
            photo["epoch"] = 0  # the same picture each time
            if args.source == "annotation":
                picture = draw_annotations(photo, *classes)
            else:
                picture = draw_augmented(mapper(photo), cfg.INPUT.FORMAT, *classes)
            name = unused_name(Path(photo["file_name"]).stem, photo["image_id"], taken)
            write(output / f"{name}.jpg", picture)
            if i in shown:
                thumbnails.append(thumbnail(picture))
                names.append(Path(photo["file_name"]).name)
    write(output / f"{CONTACT_SHEET}.jpg", contact_sheet(thumbnails, names))
    print(f"{len(photos)} photos drawn in {output}; {CONTACT_SHEET}.jpg there shows {len(names)} of them")
    if export.report.defects:
        remarks = len(export.report.defects)
        print(f"{remarks} remarks on the export; tools/label_studio.py check EXPORT --json FILE lists them")


def unused_name(stem, image_id, taken):
    """A name for a photo's picture that no other has, nor the contact sheet; it is taken then."""
    while stem.casefold() in taken:
        stem = f"{stem}_{image_id}"
    taken.add(stem.casefold())
    return stem


def write(path, picture):
    """A JPEG of an (H, W, 3) uint8 BGR picture, whole or not at all; OutputError where the disk is full."""
    import cv2

    from campus_seg.atomic_writes import enough_room, replacing

    _, encoded = cv2.imencode(path.suffix, picture)  # raises cv2.error where it cannot, and imwrite says nothing
    with enough_room(path, "the same command draws again"), replacing(path) as temporary:
        temporary.write_bytes(encoded)


if __name__ == "__main__":
    main()
