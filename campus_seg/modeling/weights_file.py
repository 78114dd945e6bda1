"""Weights files: the model zoo's pickles and torch's checkpoints, read without running any code in them."""

import hashlib
import pickle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch
from detectron2.utils.file_io import Detectron2Handler, PathManager

from campus_seg.errors import StorageError, WeightsError
from campus_seg.path_handler import register_storage
from campus_seg.storage import is_http, is_uri
from campus_seg.storage_cache import local_path

# All that a pickle of numpy arrays in plain containers needs; whatever else a pickle names could run code.
SAFE_GLOBALS = {
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}
HINT = "set MODEL.WEIGHTS to a .pth or .pkl file of a Detectron2 model"
UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError)


class ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays and plain containers, and nothing that runs code."""

    def find_class(self, module: str, name: str) -> Any:
        """Gives the few harmless globals; raises pickle.UnpicklingError for every other."""
        if (module, name) not in SAFE_GLOBALS:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which is no array")
        if module.startswith("numpy._core"):  # written by numpy 2, read by numpy 1
            module = module.replace("numpy._core", "numpy.core")
        return super().find_class(module, name)


def read_checkpoint(path: str) -> dict[str, Any]:
    """Reads a model zoo pickle or a checkpoint of torch's, without running any code in it.

    Args:
        path: a file, or an address: file://…, s3://… and the other URIs of `campus_seg.storage`, or one that
            Detectron2's PathManager alone knows, such as detectron2://….

    Returns:
        "model" (name -> array or tensor) and whatever else the file holds.

    Raises:
        WeightsError: the file cannot be fetched or read, or holds no weights.
        StorageError: the URI cannot be read.
    """
    checkpoint, is_pickle = _read(path)
    if not isinstance(checkpoint, dict):
        raise WeightsError(f"{path}: holds a {type(checkpoint).__name__} and no weights; {HINT}")
    if "model" not in checkpoint:
        # Backbones from before Detectron2 come as bare arrays under Caffe2's names.
        arrays = checkpoint.get("blobs", checkpoint)
        arrays = {k: v for k, v in arrays.items() if not str(k).endswith("_momentum")}
        author = "Caffe2" if is_pickle else ""
        checkpoint = {"model": arrays, "matching_heuristics": is_pickle, "__author__": author}
    model = checkpoint["model"]
    if not isinstance(model, dict) or not model or not all(hasattr(value, "shape") for value in model.values()):
        raise WeightsError(f"{path}: holds no weights; {HINT}")
    return checkpoint


def _read(path: str) -> tuple[Any, bool]:
    """What a file holds, and whether it is a bare pickle, as the model zoo has them."""
    try:
        with _fetch(path).open("rb") as f:
            head = f.read(2)
            f.seek(0)
            if head == b"PK":
                return torch.load(f, map_location="cpu", weights_only=True), False
            if head[:1] == b"\x80":
                return ArrayUnpickler(f, encoding="latin1").load(), True
    except OSError as error:
        raise _not_fetched(path, error) from None
    except UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: not a weights file that can be read safely ({reason}); {HINT}") from None
    raise WeightsError(f"{path}: neither a torch checkpoint nor a pickle of weights; {HINT}")


def file_digest(path: str) -> str:
    """A short hash of a weights file's content.

    Raises:
        WeightsError: it cannot be fetched.
    """
    try:
        with _fetch(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise _not_fetched(path, error) from None


def _fetch(path: str) -> Path:
    """The file on this disk, fetched where `path` is an address; OSError where that fails."""
    if path.startswith("file://"):
        return Path(url2pathname(urlsplit(path).path))
    register_storage()
    if is_uri(path):  # not by PathManager, whose copies of http:// are kept for good and by names without their hosts
        try:
            return local_path(path)
        except StorageError as error:
            if not is_http(path):
                raise
            raise StorageError(f"{error}; or {_by_hand(path)}", missing=error.missing) from None
    local = PathManager.get_local_path(path)
    if local == path and "://" in path:  # Detectron2 takes what it does not know for a file's name
        raise OSError(f"addresses of {path.partition('://')[0]}:// are not fetched")
    return Path(local)


def _not_fetched(path: str, error: OSError) -> WeightsError:
    way_out = _by_hand(path) if "://" in path and not path.startswith("file://") else HINT
    return WeightsError(f"{path}: the weights cannot be fetched ({error}); {way_out}")


def _by_hand(path: str) -> str:
    """How to come by a file that cannot be fetched."""
    address = path.replace("detectron2://", Detectron2Handler.S3_DETECTRON2_PREFIX)
    name = path.rsplit("/", 1)[-1]
    return f"download {address} where there is a network, copy it here, add MODEL.WEIGHTS path/to/{name}"
