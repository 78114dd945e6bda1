"""Measures what this project claims about speed; only the ratios carry over to another machine.

    python tools/benchmark.py mapper --export my_export.zip --json output/mapper.json

mapper: the training mapper with the default pipeline, against the same pipeline on the photo alone (the cost of
taking the objects along) and against Detectron2's own DatasetMapper with flip and resize. Without --export it draws
its own photos. All sides take turns on the same photos with the same draws, one thread each.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from campus_seg.environment import require_detectron2
from campus_seg.errors import exits_on_bad_input


def get_parser() -> argparse.ArgumentParser:
    """The command's arguments; each thing that is measured is a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    mapper = commands.add_parser("mapper", help="the training mapper against the photo alone and Detectron2's own")
    mapper.set_defaults(measure=measure_mapper)
    mapper.add_argument("--export", default="", help="a Label Studio export with photos; drawn ones where not given")
    mapper.add_argument("--image-root", default="", metavar="DIR", help="where the export's photos lie, as it has none")
    mapper.add_argument("--photos", type=int, default=40, metavar="N", help="photos to draw without --export (40)")
    mapper.add_argument("--rounds", type=int, default=3, metavar="N", help="epochs, each with draws of its own (3)")
    mapper.add_argument("--repeats", type=int, default=3, metavar="N", help="times each; the median counts (3)")
    mapper.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    mapper.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="config keys, last")
    return parser


def draw_photos(folder: Path, count: int) -> list[dict]:
    """Dataset dicts of drawn photos: 640 x 480, 7 objects each with 40 points."""
    import cv2
    import numpy as np
    from detectron2.structures import BoxMode

    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    records = []
    for index in range(count):
        coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        photo = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        annotations = []
        for category in range(7):
            reach = rng.uniform(15, 60) * rng.uniform(0.8, 1.0, 40)
            centre = rng.uniform((60, 60), (580, 420))
            ring = centre + np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
            cv2.fillPoly(photo, [np.round(ring - 0.5).astype(np.int32)], rng.integers(0, 255, 3).tolist())
            box = [*ring.min(axis=0), *ring.max(axis=0)]
            shape = {"segmentation": [ring.ravel().tolist()], "bbox": box, "bbox_mode": BoxMode.XYXY_ABS}
            annotations.append({"category_id": category, "iscrowd": 0, **shape})
        path = folder / f"{index}.jpg"
        cv2.imwrite(str(path), photo)
        record = {"file_name": str(path), "height": 480, "width": 640, "image_id": index}
        records.append({**record, "annotations": annotations})
    return records


def read_photos(folder: Path, export: str, image_root: str) -> list[dict]:
    """Dataset dicts of an export's photos, unpacked to `folder`."""
    from detectron2.data.datasets import load_coco_json

    from campus_seg.label_studio.export import read_export
    from campus_seg.label_studio.options import ExportOptions

    content = read_export(export, ExportOptions(image_root=image_root))
    coco = folder / "coco.json"
    coco.write_text(json.dumps(content.to_coco(content.photos, content.place_photos(folder))), encoding="utf-8")
    return load_coco_json(str(coco), str(folder))


def take_turns(sides: dict[str, Callable], records: list[dict], rounds: int, repeats: int) -> dict[str, float]:
    """Mean milliseconds a photo for each side; of the repeats of one photo and epoch the median counts."""
    names = list(sides)
    totals = dict.fromkeys(names, 0.0)
    for name in names:  # what is imported or allocated once is not to be counted
        sides[name]({**records[0], "epoch": 0})
    for epoch in range(rounds):
        for index, record in enumerate(records):
            record = {**record, "epoch": epoch}
            times = {name: [] for name in names}
            for repeat in range(repeats):
                start = (index + repeat) % len(names)
                for name in names[start:] + names[:start]:
                    began = time.perf_counter()
                    sides[name](record)
                    times[name].append(time.perf_counter() - began)
            for name in names:
                totals[name] += statistics.median(times[name])
    return {name: 1000 * total / (rounds * len(records)) for name, total in totals.items()}


def measure_mapper(args: argparse.Namespace) -> dict:
    """Figures of the subcommand `mapper`."""
    import cv2
    import torch
    from detectron2.config import get_cfg
    from detectron2.data import DatasetMapper, detection_utils
    from detectron2.data import transforms as T  # noqa: N812

    from campus_seg.config import add_campus_config
    from campus_seg.data.geometry import Rings
    from campus_seg.data.mapper import CampusMapper, to_tensor
    from campus_seg.data.resize import resize_photo

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    cfg = get_cfg()
    add_campus_config(cfg)
    cfg.merge_from_list(args.opts)
    ours = CampusMapper(cfg, is_train=True)
    resize = T.ResizeShortestEdge(ours.input_size, ours.input_size)  # the longest side, as "fit"
    theirs = DatasetMapper(
        is_train=True,
        augmentations=[resize, T.RandomFlip()],
        image_format=cfg.INPUT.FORMAT,
        use_instance_mask=True,
    )

    def read(record: dict):
        return detection_utils.read_image(record["file_name"], format="RGB")

    def image_only(record: dict):
        photo = resize_photo(read(record), ours.input_size, ours.resize)
        seed = ours.seed, record["epoch"], record["image_id"]
        return to_tensor(ours.augmentation(photo, Rings.from_polygons([]), seed)[0], ours.image_format)

    sides = {"read": read, "image_only": image_only, "mapper": ours, "detectron2": theirs}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        drawn = not args.export
        records = draw_photos(folder, args.photos) if drawn else read_photos(folder, args.export, args.image_root)
        taken = take_turns(sides, records, args.rounds, args.repeats)
    objects = [annotation for record in records for annotation in record["annotations"]]
    return {
        "photos": len(records),
        "objects": len(objects),
        "input_size": ours.input_size,
        "augmentations": cfg.CAMPUS.AUGMENTATIONS,
        "ms_per_photo": taken,
        "ratios": {
            # Reading is the same on both sides and would only flatter the ratio.
            "mapper_vs_image_only": (taken["mapper"] - taken["read"]) / (taken["image_only"] - taken["read"]),
            "mapper_vs_image_only_with_reading": taken["mapper"] / taken["image_only"],
            "mapper_vs_detectron2": taken["mapper"] / taken["detectron2"],
        },
    }


@exits_on_bad_input
def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand, prints its figures and writes them as JSON where asked."""
    args = get_parser().parse_args(argv)
    require_detectron2()
    figures = args.measure(args)
    for name, value in {**figures.get("ms_per_photo", {}), **figures["ratios"]}.items():
        print(f"{name:<36}{value:8.3f}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
