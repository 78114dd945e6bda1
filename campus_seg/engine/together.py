"""One import for the machines of one training, and how it is made sure that all of them see it."""

import hashlib
import time
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from campus_seg.config import CLASSES_FILE
from campus_seg.data.datasets import REPORT_FILE, coco_file
from campus_seg.data.splits import SPLITS
from campus_seg.engine.resume import take_earlier_import
from campus_seg.engine.run import Prepared, prepare_run
from campus_seg.errors import ConfigError
from campus_seg.machines import Machines
from campus_seg.modeling.weights_file import read_checkpoint

LATE = 90.0  # seconds in which files that another machine wrote show up on a network's disk (nfs(5): acdirmax is 60)


def prepare_together(cfg: CfgNode, machines: Machines, **how: Any) -> Prepared:
    """`prepare_run` on the first machine; the others wait, take over its config and read what it imported.

    OUTPUT_DIR and MODEL.WEIGHTS stay each machine's own: a disk that machines share need not have one name on all. All
    other paths are the first one's, also those of photos that the import left where they were.

    Args:
        cfg: not frozen; it is fitted to the data.
        machines: entered.
        how: further arguments of `prepare_run`.

    Raises:
        CampusError: bad input, here or on the first machine.
    """
    if machines.rank == 0:
        prepared = prepare_run(cfg, **how)
        found = _fingerprint(Path(cfg.OUTPUT_DIR)) if machines.count > 1 else ""
        machines.say(device=cfg.MODEL.DEVICE, config=cfg.dump(), found=found, **prepared._asdict())
        return prepared
    first = {name: machines.hear(0, name) for name in ("device", "config", "remarks", "starts", "found")}
    if first["device"] != cfg.MODEL.DEVICE:
        raise ConfigError(
            f"MODEL.DEVICE: {cfg.MODEL.DEVICE} on machine {machines.rank}, {first['device']} on machine 0; the "
            "machines of a run need the same"
        )
    own = cfg.OUTPUT_DIR, cfg.MODEL.WEIGHTS
    cfg.merge_from_other_cfg(CfgNode.load_cfg(first["config"]))
    cfg.OUTPUT_DIR, cfg.MODEL.WEIGHTS = own
    _check_import(cfg, first["found"], machines)
    if first["starts"]:
        read_checkpoint(cfg.MODEL.WEIGHTS)  # as `prepare_run` does
    return Prepared(first["starts"], [tuple(remark) for remark in first["remarks"]])


def _check_import(cfg: CfgNode, found: str, machines: Machines) -> None:
    """Makes sure that this machine sees what the first one imported, and its photos."""
    output_dir = Path(cfg.OUTPUT_DIR)
    until = time.monotonic() + LATE
    while _fingerprint(output_dir) != found:
        if time.monotonic() > until:
            raise ConfigError(
                f"{output_dir.absolute()}: on machine {machines.rank} it is not the folder that machine 0 imported "
                "into; give an OUTPUT_DIR on a disk that all machines share"
            )
        machines.check()
        time.sleep(1)
    take_earlier_import(cfg.clone(), output_dir)  # looks whether the photos are there


def _fingerprint(output_dir: Path) -> str:
    """Of all that an import left but the photos; "" where it is not whole."""
    files = [output_dir / name for name in (REPORT_FILE, CLASSES_FILE)]
    files += [coco_file(output_dir, split) for split in SPLITS]
    try:
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    except OSError:
        return ""
