"""A training on drawn photos in a folder, and what its model masks: on this disk, and by URIs, to be compared."""

import json
from pathlib import Path

from drawn import draw_export
from small_runs import TINY
from storage_servers import Server, s3_client, s3_objects

from campus_seg.tools.photos import main as photos_main
from campus_seg.tools.train_net import main as train_main
from campus_seg.tools.visualize import main as visualize_main

PHOTOS = 40  # so many that, with a fault in ten reads, each kind hits some photo
STEPS = (
    *("SOLVER.MAX_ITER", "6", "SOLVER.WARMUP_ITERS", "2", "SOLVER.CHECKPOINT_PERIOD", "3"),
    *("DATALOADER.NUM_WORKERS", "2"),
)


def whole_run(folder: Path) -> Path:
    """Trains and masks on this disk: export.json, photos/, output/ and masked/ of the folder, which is returned."""
    drawn = draw_export(PHOTOS, 64, 48)
    (folder / "photos").mkdir()
    for name, content in drawn.photos.items():
        (folder / "photos" / name).write_bytes(content)
    (folder / "export.json").write_text(json.dumps(drawn.coco))
    train(folder / "export.json", folder / "photos", folder / "output")
    mask(folder / "output", folder / "photos", folder / "masked")
    return folder


def train(export: Path | str, photos: Path | str, output: Path | str, *opts: str, flags: tuple[str, ...] = ()) -> None:
    """A training with two workers; paths or URIs."""
    keys = ["CAMPUS.EXPORT", str(export), "CAMPUS.IMAGE_ROOT", str(photos), "OUTPUT_DIR", str(output)]
    train_main(["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags, *keys, *TINY, *STEPS, *opts])


def mask(run: Path | str, photos: Path | str, output: Path | str) -> None:
    """Masks photos with a run's model; paths or URIs."""
    places = ["--config-file", f"{run}/config.yaml", "--input", str(photos), "--output", str(output)]
    options = ["--save", "overlay", "binary", "predictions", "--confidence-threshold", "0.05"]
    assert visualize_main([*places, *options, "--opts", "MODEL.DEVICE", "cpu"]) == 0


def upload(*arguments: object) -> int:
    """tools/photos.py upload; its exit status."""
    return photos_main(["upload", *map(str, arguments)])


def contents(folder: Path, prefix: str = "") -> dict[str, bytes]:
    """Name -> bytes of a folder's files, as they should lie below a prefix."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {prefix + path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def put(server: Server, folder: Path, prefix: str) -> None:
    """Sends a folder's files into the bucket."""
    client = s3_client(server)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        client.put_object(Bucket=server.uri.rpartition("/")[2], Key=f"{prefix}/{name}", Body=path.read_bytes())


def got(server: Server, prefix: str, folder: Path) -> Path:
    """What lies in the bucket, on this disk."""
    for key, content in s3_objects(server, f"{prefix}/").items():
        path = folder / key.removeprefix(f"{prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def assert_same_masks(masked: Path, whole: Path) -> None:
    """The same files, of the same bytes where they tell no times."""
    first, second = ({p.relative_to(f).as_posix(): p for p in f.rglob("*") if p.is_file()} for f in (masked, whole))
    kept = {name for name in second if not name.startswith(".journal")}
    assert {name for name in first if not name.startswith(".journal")} == kept
    for name in kept:
        assert first[name].read_bytes() == second[name].read_bytes(), name
