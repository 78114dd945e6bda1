"""metrics.json: one JSON object a line, as Detectron2's JSONWriter writes it."""

import json
from pathlib import Path
from typing import Any

from campus_seg.storage import replacing

METRICS_FILE = "metrics.json"  # in OUTPUT_DIR


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.json, in the order of the file.

    A line that a kill cut off, which a later run may have gone on writing to, is no JSON and left out.
    """
    return [values for _, values in _lines(path)]


def trim_metrics(path: Path, iteration: int) -> int:
    """Removes what a run wrote after the iteration that is restored, and a line cut off; whole or not at all.

    Args:
        path: metrics.json, which need not exist. No writer may hold it open: it would go on writing to the old file.
        iteration: the last one that is kept.

    Returns:
        How many lines were removed.
    """
    if not path.is_file():
        return 0
    written = path.read_bytes()
    kept = b"".join(line + b"\n" for line, values in _lines(path) if values["iteration"] <= iteration)
    if kept == written:
        return 0
    with replacing(path) as temporary:
        temporary.write_bytes(kept)
    return len(written.splitlines()) - kept.count(b"\n")


def _lines(path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """Each whole line as it is written and as a dict; bytes, since a kill may have cut a character in two."""
    whole = []
    for line in path.read_bytes().splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict) and "iteration" in values:
            whole.append((line, values))
    return whole
