"""The checkpoints of a run: written whole or not at all, and found again after any stop."""

import logging
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import Tensor, nn

from campus_seg.atomic_writes import enough_room, replacing
from campus_seg.errors import WeightsError
from campus_seg.modeling.weights_file import read_checkpoint

logger = logging.getLogger(__name__)

TAG = "last_checkpoint"
FINAL = "model_final"
PERIODIC = re.compile(r"model_(\d{7,})\.pth")


@dataclass
class Found:
    """The checkpoint that a run goes on from.

    Attributes:
        path: of its file.
        checkpoint: what the file holds, as `read_checkpoint` gives it.
        skipped: of each newer one, why it cannot be used, naming the file.
    """

    path: Path
    checkpoint: dict[str, Any]
    skipped: list[str] = field(default_factory=list)


def is_periodic(name: str) -> bool:
    """Whether a file of a run's folder is a checkpoint that only a run that goes on needs."""
    return bool(PERIODIC.fullmatch(name))


def is_checkpoint(name: str) -> bool:
    """Whether a file of a run's folder says that it has begun."""
    return name in (TAG, f"{FINAL}.pth") or is_periodic(name)


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints that a run in `folder` can go on from, the best first; they need not be whole.

    First the one that last_checkpoint names, even where it is gone, then those before it.
    """
    numbers = _periodic(folder)
    others = sorted(numbers, key=numbers.get, reverse=True)
    others += [path for path in [folder / f"{FINAL}.pth"] if path.is_file()]
    tagged = _tagged(folder)
    if not tagged:  # killed between the first checkpoint and its tag
        return others
    before = numbers.get(tagged, float("inf"))
    return [tagged, *(path for path in others if path != tagged and numbers.get(path, -1) < before)]


def latest_checkpoint(folder: Path, classes: Sequence[str]) -> Found | None:
    """The newest whole checkpoint of a run; None where there is none at all.

    Args:
        folder: the run's.
        classes: the run's, in its order.

    Raises:
        WeightsError: none can be read, or the newest is of other classes.
    """
    skipped = []
    for path in checkpoint_files(folder):
        try:
            checkpoint = _read_whole(path)
        except WeightsError as error:
            skipped.append(str(error))
            continue
        saved = checkpoint.get("classes")
        if saved and list(saved) != list(classes):
            raise WeightsError(
                f"{path}: trained for the classes {list(saved)}, this run is for {list(classes)}; to fine-tune from it "
                "give it with MODEL.WEIGHTS and another OUTPUT_DIR"
            )
        return Found(path, checkpoint, skipped)
    if skipped:
        raise WeightsError(
            f"{'; '.join(skipped)}; no checkpoint is left to go on from: start a new run in another OUTPUT_DIR"
        )
    return None


def check_weights(model: nn.Module, found: Found) -> None:
    """Makes sure that a checkpoint is of just this model, and changes nothing.

    Raises:
        WeightsError: it is of another one.
    """
    own, saved = (
        {name: tuple(value.shape) for name, value in weights.items()}
        for weights in (model.state_dict(), found.checkpoint["model"])
    )
    wrong = [name for name in {**own, **saved} if own.get(name) != saved.get(name)]
    if wrong:
        raise WeightsError(
            f"{found.path}: weights of another model ({len(wrong)} parameters do not fit, the first {wrong[0]}); "
            "go on with the config.yaml that lies beside it"
        )


def _read_whole(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of a run, and makes sure that no byte of it has changed."""
    if not path.is_file():
        raise WeightsError(f"{path}: is gone")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():  # torch itself does not look at the check sums
                raise WeightsError(f"{path}: is damaged")
        checkpoint = read_checkpoint(str(path))
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, WeightsError):
        raise WeightsError(f"{path}: is cut or damaged") from None
    if "trainer" not in checkpoint:
        raise WeightsError(f"{path}: holds weights alone, and no state of a training")
    return checkpoint


def write_checkpoint(path: Path, data: dict[str, Any]) -> None:
    """Writes a file that `read_checkpoint` can read, whole or not at all, whatever happens meanwhile.

    Args:
        path: of the file.
        data: "model" (name -> tensor) and, as tensors, numbers, strings and containers of them, whatever else.

    Raises:
        OutputError: the disk is full.
        TypeError: a value that could not be read back safely.
    """
    data = {key: value if key == "model" else _plain(value, key) for key, value in data.items()}
    way_out = "--resume goes on from the last checkpoint: earlier ones are whole"
    with (
        enough_room(path, way_out),
        replacing(path, durable=True) as temporary,
        temporary.open("wb") as f,
    ):
        torch.save(data, f)


def _plain(value: Any, name: str) -> Any:
    """`value` without numpy, whose pickles are no plain data."""
    if value is None or isinstance(value, (Tensor, str)) or type(value) in (bool, int, float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, Mapping):
        return {key: _plain(each, f"{name}.{key}") for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(each, name) for each in value)
    raise TypeError(f"checkpoint: {name} is a {type(value).__name__}, which cannot be read back safely")


def remove_old_checkpoints(folder: Path, keep: int) -> None:
    """Removes all but the newest `keep` periodic checkpoints; those with a name of their own stay."""
    tagged = _tagged(folder)
    numbers = _periodic(folder)
    for path in sorted(numbers, key=numbers.get)[:-keep]:
        if path != tagged:
            path.unlink()


def _tagged(folder: Path) -> Path | None:
    """The checkpoint that last_checkpoint names, even where it is gone; None without that file."""
    tag = folder / TAG
    # Decoded with no error: a tag that a disk damaged names no file, and the others are tried.
    return folder / Path(tag.read_text(encoding="utf-8", errors="replace").strip()).name if tag.is_file() else None


def _periodic(folder: Path) -> dict[Path, int]:
    """The periodic checkpoints in a folder and the iterations in their names."""
    matches = {path: PERIODIC.fullmatch(path.name) for path in folder.glob("model_*.pth")}
    return {path: int(match[1]) for path, match in matches.items() if match}


class CampusCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, which reads safely, writes whole files and keeps the class names with the weights."""

    def __init__(self, model: nn.Module, save_dir: str = "", *, classes: Sequence[str] = (), **checkpointables):
        super().__init__(model, save_dir, **checkpointables)
        self.classes = list(classes)

    def save(self, name: str, **kwargs) -> None:
        """Saves the whole state, from which a run can go on, and then tags it as the last checkpoint.

        Args:
            name: of the file, without its ending.
            **kwargs: whatever else to keep with it.

        Raises:
            OutputError: the disk is full.
        """
        self._write(name, {key: each.state_dict() for key, each in self.checkpointables.items()} | kwargs)
        if self.save_dir and self.save_to_disk:
            self.tag_last_checkpoint(f"{name}.pth")

    def save_weights(self, name: str, **kwargs) -> None:
        """Saves the weights alone, to predict with; no run goes on from them. Arguments and errors as of `save`."""
        self._write(name, kwargs)

    def _write(self, name: str, data: dict[str, Any]) -> None:
        if not self.save_dir or not self.save_to_disk:
            return
        path = Path(self.save_dir) / f"{name}.pth"
        self.logger.info(f"Saving checkpoint to {path}")
        write_checkpoint(path, {"model": self.model.state_dict(), "classes": self.classes, **data})

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Writes the name of the last checkpoint, whole or not at all."""
        with replacing(Path(self.save_dir) / TAG, durable=True) as temporary:
            temporary.write_text(last_filename_basename, encoding="utf-8")

    def has_checkpoint(self) -> bool:
        """Whether there is something to go on from, be it whole or not."""
        return bool(checkpoint_files(Path(self.save_dir)))

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """Restores everything from the newest whole checkpoint, or loads the weights in `path`.

        Raises:
            WeightsError: none of the checkpoints is whole, or the newest is of other classes or another model.
        """
        found = latest_checkpoint(Path(self.save_dir), self.classes) if resume else None
        if not found:
            return super().resume_or_load(path, resume=False)
        for reason in found.skipped:
            self.logger.warning(f"{reason}; falling back to {found.path.name}")
        self.logger.info(f"Restoring {found.path}")
        check_weights(self.model, found)
        self.load_checkpoint(found.checkpoint)
        for key, each in self.checkpointables.items():
            each.load_state_dict(found.checkpoint[key])
        return found.checkpoint

    def load_checkpoint(self, checkpoint: dict[str, Any]):
        """Loads the weights that `read_checkpoint` gave; returns the keys that did not fit, as `load` logs them."""
        return self._load_model(dict(checkpoint))

    def load_whole(self, checkpoint: dict[str, Any], path: str, way_out: str) -> None:
        """Loads every parameter and buffer of the model from weights that have just these.

        Args:
            checkpoint: from `read_checkpoint`.
            path: of its file, for the message.
            way_out: what to do where it does not fit, for the message.

        Raises:
            WeightsError: weights of another model.
        """
        left = self.load_checkpoint(checkpoint)
        wrong = [*left.missing_keys, *(name for name, _, _ in left.incorrect_shapes), *left.unexpected_keys]
        if wrong:
            raise WeightsError(
                f"{path}: weights of another model ({len(wrong)} parameters do not fit, the first {wrong[0]}); "
                f"{way_out}"
            )

    def _load_file(self, filename: str) -> dict[str, Any]:
        return read_checkpoint(filename)
