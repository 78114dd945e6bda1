"""What a run left in its folder, read when it is asked for."""

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from campus_seg.config import CLASSES_FILE, CONFIG_FILE, SPLIT_FILE
from campus_seg.data.datasets import IMPORT_FOLDER, REPORT_FILE, coco_file, dataset_name, image_folder
from campus_seg.data.splits import SPLITS
from campus_seg.errors import EvaluationError
from campus_seg.evaluation.evaluator import RESULTS_FILE, inference_folder
from campus_seg.evaluation.predictions import read_predictions
from campus_seg.evaluation.run_analysis import ANALYSIS_FILE
from campus_seg.evaluation.thresholds import THRESHOLDS_FILE
from campus_seg.metrics_file import METRICS_FILE, read_metrics
from campus_seg.modeling.checkpoint import TAG
from campus_seg.storage import place

# All that a run leaves: what else lies in a bucket beside it is no part of it.
FILES = {TAG, CONFIG_FILE, CLASSES_FILE, SPLIT_FILE, REPORT_FILE, METRICS_FILE, THRESHOLDS_FILE, "losses.png"}
OTHERS = re.compile(  # a name may hold line breaks
    rf"({IMPORT_FOLDER}|inference|report)/.+|model_\w+\.pth|events\.out\.tfevents.*|log\.txt.*", re.DOTALL
)
JUDGED = ("test", "val", "train")  # splits by how much their figures say


def is_of_run(name: str) -> bool:
    """Whether a file of a run's folder, by its name with "/", is the run's own."""
    return name in FILES or bool(OTHERS.fullmatch(name))


def is_record(name: str) -> bool:
    """Whether a file of a run's folder is one of those that a comparison reads: neither a model nor a photo."""
    return is_of_run(name) and name.endswith((".json", ".yaml"))


class RunFiles:
    """The folder of a run: what was imported, and what came of training and evaluation.

    Attributes:
        folder: OUTPUT_DIR.
        place: the same for people; a URI where the folder is a copy of what lies there.
        classes: their names, in the order of the category ids, which begin with 1.
    """

    def __init__(self, folder: Path, uri: str = ""):
        """Called with the folder of a run, and the URI that it is a copy of.

        Raises:
            EvaluationError: it is none.
        """
        self.folder = folder
        self.place = uri or str(folder)
        self.classes = self._read(folder / CLASSES_FILE, list[str])

    @property
    def name(self) -> str:
        """The folder's, for people."""
        return self.folder.resolve().name

    @cached_property
    def import_report(self) -> dict[str, Any]:
        """import_report.json."""
        return self._read(self.folder / REPORT_FILE, dict[str, Any])

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.json; none where the run was not trained here."""
        path = self.folder / METRICS_FILE
        return read_metrics(path) if path.is_file() else []

    @cached_property
    def evaluated(self) -> list[str]:
        """The splits of which there are predictions, those that say most first."""
        return [split for split in JUDGED if self._evaluation(split, RESULTS_FILE).is_file()]

    @cached_property
    def truths(self) -> dict[str, dict[str, Any]]:
        """Split -> its COCO file."""
        return {split: self._read(coco_file(self.folder, split), dict[str, Any]) for split in SPLITS}

    def results(self, split: str) -> list[dict[str, Any]]:
        """COCO results of an evaluated split.

        Raises:
            EvaluationError: they are damaged, or of a model without masks.
        """
        return read_predictions(self._evaluation(split, RESULTS_FILE), self.truths[split], check_masks=False)

    def analysis(self, split: str) -> dict[str, Any] | None:
        """analysis.json of an evaluated split; None where an earlier version evaluated it."""
        path = self._evaluation(split, ANALYSIS_FILE)
        return self._read(path, dict[str, Any]) if path.is_file() else None

    def photo(self, image: dict[str, Any]) -> Path | str:
        """The file of an entry of a COCO file's `images`, or its URI."""
        return place(image_folder(self.folder), image["file_name"])

    def identities(self, split: str) -> list[str]:
        """What tells the photos of a split from all others, also in other runs: SHA-256 of their bytes, or names.

        In the order of the COCO file's `images`, which split.json has, too.
        """
        splits = dict[str, list[str] | dict[str, str | dict[str, str]]]  # lists are of earlier versions
        listed = self._read(self.folder / SPLIT_FILE, splits).get(split, [])
        images = self.truths[split]["images"]
        if len(listed) != len(images):
            raise EvaluationError(
                f"{self.folder / SPLIT_FILE}: has {len(listed)} photos for {split}, the import {len(images)}; one of "
                "them is of another run"
            )
        return list(listed.values()) if isinstance(listed, dict) else listed

    def _evaluation(self, split: str, name: str) -> Path:
        return inference_folder(self.folder, dataset_name(split)) / name

    @staticmethod
    def _read(path: Path, kind: Any) -> Any:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except OSError as error:
            raise EvaluationError(
                f"{path}: cannot be read ({error.strerror}); give the folder, or the config.yaml, of a run"
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EvaluationError(f"{path}: damaged ({error}); give the folder of a whole run") from None
