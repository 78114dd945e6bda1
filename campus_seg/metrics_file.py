"""metrics.json: one JSON object a line, as Detectron2's JSONWriter writes it."""

import json
from pathlib import Path
from typing import Any

from campus_seg.atomic_writes import replacing

METRICS_FILE = "metrics.json"  # in OUTPUT_DIR


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.json, in the order of the file.

    A line that a kill cut off, which a later run may have gone on writing to, is no JSON and left out.
    """
    return [values for _, values in _lines(path.read_bytes())]


def trim_metrics(path: Path, iteration: int, size: int | None = None) -> None:
    """Makes metrics.json what it was when a checkpoint was written, without a line cut off; whole or not at all.

    Args:
        path: metrics.json, which need not exist. No writer may hold it open: it would go on writing to the old file.
        iteration: of the checkpoint; later lines are removed in any case.
        size: of the file then, in bytes: what a run wrote as it stopped, after its checkpoint, is of no later
            iteration. None, or one at which no line ends, where that is not known.
    """
    if not path.is_file():
        return
    written = path.read_bytes()
    known = size is not None and (size == 0 or written[:size].endswith(b"\n"))
    then = written[:size] if known else written
    kept = b"".join(line + b"\n" for line, values in _lines(then) if values["iteration"] <= iteration)
    if kept != written:
        with replacing(path) as temporary:
            temporary.write_bytes(kept)


def _lines(content: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    """Each whole line as it is written and as a dict; bytes, since a kill may have cut a character in two."""
    whole = []
    for line in content.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict) and "iteration" in values:
            whole.append((line, values))
    return whole
