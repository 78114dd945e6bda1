"""Every key this project adds to Detectron2's config, under `cfg.CAMPUS`, and how a config comes to be."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode, get_cfg

import campus_seg.configs
from campus_seg.errors import ConfigError
from campus_seg.label_studio.options import ExportOptions
from campus_seg.storage import base_name, checked_uri, is_uri, join
from campus_seg.storage_cache import local_path
from campus_seg.storage_objects import exists, parent

CONFIG_DIR = Path(campus_seg.configs.__file__).parent
CONFIG_FILE, CLASSES_FILE, SPLIT_FILE = "config.yaml", "classes.json", "split.json"  # in OUTPUT_DIR
RUN_WEIGHTS = ("model_best.pth", "model_final.pth")


def add_campus_config(cfg: CfgNode) -> None:
    """Adds the keys of this project and their defaults to Detectron2's `cfg`, in place."""
    cfg.CAMPUS = CfgNode()

    # The Label Studio export: a .zip, a folder or a .json; like every path below, on this disk or a URI such as
    # s3://bucket/export.zip. Credentials are no keys: what reaches the server comes from the environment.
    cfg.CAMPUS.EXPORT = ""
    # Where the photos lie, for an export that does not hold them. "" = inside or beside the export.
    cfg.CAMPUS.IMAGE_ROOT = ""
    # Class names in the order of the model's outputs. [] = those that have an object in the export, in
    # alphabetical order; the run's config.yaml then holds them, so that later exports cannot shift them.
    cfg.CAMPUS.CLASSES = []
    # Rectangles have a box but no outline: "mask" fills the box, "drop" leaves them out, "error" refuses.
    cfg.CAMPUS.RECTANGLES = "mask"
    # A photo labelled by several people: "newest" or "oldest" annotation, or "error".
    cfg.CAMPUS.ANNOTATORS = "newest"
    # Photos without objects: "keep" as background, which teaches what is no object, or "drop".
    cfg.CAMPUS.BACKGROUND = "keep"

    # Shares of the photos, and of each class among them, in train, val and test, and the seed of the draw.
    cfg.CAMPUS.SPLIT = [0.7, 0.1, 0.2]
    cfg.CAMPUS.SPLIT_SEED = 0
    # Photos that stay on one side, or the figures would praise what was learned by heart: "perceptual" = those that
    # look alike (bursts, copies); a regular expression = those whose names agree in its groups, such as "^(.*)_[0-9]+"
    # (names without folders and Label Studio's prefix); "" = only the very same photo.
    cfg.CAMPUS.GROUP_BY = "perceptual"
    # An earlier run's split.json: none of its photos moves, whatever it is called now, and new ones fill up. "" = none;
    # with a run's config.yaml it is the one beside that.
    cfg.CAMPUS.SPLIT_FILE = ""

    # Size of what the model sees, in pixels, in training and prediction alike. "fit" makes the longest side
    # INPUT_SIZE and keeps the aspect; "stretch" makes both sides INPUT_SIZE (as in 2023).
    cfg.CAMPUS.INPUT_SIZE = 1024
    cfg.CAMPUS.RESIZE = "fit"
    # An albumentations pipeline in YAML: a name in configs/augmentations or a path. "" = none.
    cfg.CAMPUS.AUGMENTATIONS = "campus.yaml"

    # "SGD" is Detectron2's own, right for fine-tuning; "AdamW" learns faster from scratch.
    cfg.CAMPUS.OPTIMIZER = "SGD"

    # "auto" = mixed precision on a CPU that multiplies bfloat16 by itself: SOLVER.AMP.ENABLED. "" = that key counts as
    # it stands, which giving it with the command means, too.
    cfg.CAMPUS.PRECISION = "auto"

    # How long to train, in terms that fit any number of photos; engine/schedule.py turns each of these into the
    # Detectron2 key named here once the photos are counted. 0 (or []) = that key counts as it stands, which is also
    # what giving it with the command means. A file that sets the Detectron2 key has to set its source to 0, too; the
    # log's "Schedule:" line names what does not count.
    # Passes over the training photos: SOLVER.MAX_ITER.
    cfg.CAMPUS.EPOCHS = 0.0
    # Where the learning rate drops by SOLVER.GAMMA, as shares of the whole: SOLVER.STEPS.
    cfg.CAMPUS.STEPS = []
    # Iterations in which the learning rate rises, at most a fifth of the whole: SOLVER.WARMUP_ITERS.
    cfg.CAMPUS.WARMUP_ITERS = 0
    # Epochs from one evaluation to the next, TEST.EVAL_PERIOD, and from one checkpoint to the next,
    # SOLVER.CHECKPOINT_PERIOD.
    cfg.CAMPUS.EVAL_EPOCHS = 1.0
    cfg.CAMPUS.CHECKPOINT_EPOCHS = 1.0
    # The batch that SOLVER.BASE_LR is for. Another SOLVER.IMS_PER_BATCH scales it: linearly for SGD, by the square
    # root for AdamW.
    cfg.CAMPUS.REFERENCE_BATCH = 0

    # The mini network, see modeling/mini_backbone.py: channels of its four stages (strides 4, 8, 16, 32) and
    # residual blocks in each.
    cfg.CAMPUS.MINI_BACKBONE = CfgNode()
    cfg.CAMPUS.MINI_BACKBONE.CHANNELS = [48, 96, 192, 256]
    cfg.CAMPUS.MINI_BACKBONE.BLOCKS = [1, 2, 2, 1]
    # Trained from scratch, its normalisation cannot be frozen as a pretrained ResNet's is.
    cfg.CAMPUS.MINI_BACKBONE.NORM = "BN"

    # What the best model is best at, on the validation photos: "segm/AP", AP50 or AP75, the same of "bbox", or
    # "val/total_loss", which is steadier on few photos, yet often rises while AP still grows. The photos for testing
    # choose nothing, or their figures would flatter.
    cfg.CAMPUS.BEST_METRIC = "segm/AP"
    # Evaluations without a better one after which training ends early. 0 = never.
    cfg.CAMPUS.PATIENCE = 0

    # What works out COCO's figures: "hotcoco", or "pycocotools", the reference, which takes some ten times as long.
    cfg.CAMPUS.EVALUATION = CfgNode()
    cfg.CAMPUS.EVALUATION.BACKEND = "hotcoco"
    # Whether report/index.html is written after a training and an evaluation; tools/report.py does it at any time.
    cfg.CAMPUS.EVALUATION.REPORT = True

    # What computes the model when it predicts: "eager" (PyTorch) or "openvino" (CPU only); and in which numbers:
    # "fp32", with Detectron2's own answers, or "bf16", faster where the processor has it and as good as the same.
    # "auto" = what is fastest on the machine that the command runs on.
    cfg.CAMPUS.INFERENCE = CfgNode()
    cfg.CAMPUS.INFERENCE.ENGINE = "auto"
    cfg.CAMPUS.INFERENCE.PRECISION = "auto"


def on_cpu(cfg: CfgNode) -> bool:
    """Whether the model is computed on a CPU, by MODEL.DEVICE.

    Raises:
        RuntimeError: torch's, for what is no device.
    """
    return torch.device(cfg.MODEL.DEVICE).type == "cpu"


def find_config_file(name: str, kind: str = "") -> Path:
    """Path of a config: `name` itself where it exists, else the file of that name that the package carries.

    Args:
        name: a path, a name such as "configs/mask_rcnn_R_50_FPN.yaml" or "campus.yaml", or a URI, which is fetched.
        kind: folder below configs/ to look in, for example "augmentations".

    Raises:
        ConfigError: there is no such file; the message lists what the package carries.
    """
    if is_uri(name):
        return local_path(name)
    path = Path(name)
    if path.is_file():
        return path
    shipped = CONFIG_DIR / kind / path.name
    if path.parent in (Path(), Path("configs"), Path("configs", kind)) and shipped.is_file():
        return shipped
    if (path / CONFIG_FILE).is_file():
        raise ConfigError(f"{name}: is a folder; give {path / CONFIG_FILE}")
    known = ", ".join(sorted(p.name for p in (CONFIG_DIR / kind).glob("*.yaml")))
    raise ConfigError(f"{name}: no such file; give a path, or one of those shipped: {known}")


def load_config(config_file: str, opts: list[str] = ()) -> CfgNode:
    """Detectron2's defaults, this project's, the file's and the command's, in that order.

    Args:
        config_file: a path or the name of a shipped config.
        opts: KEY VALUE pairs given with the command; they always win.

    Returns:
        The config, not frozen, `MODEL.DEVICE` chosen for this machine unless `opts` give it.

    Raises:
        ConfigError: a missing or unreadable file, an unknown key or a value of the wrong type.
        StorageError: a URI holds a secret, which would be written down with the config.
    """
    _check_uris(list(opts))
    file = find_config_file(config_file)
    path = config_file if is_uri(config_file) else file  # for people
    if is_uri(config_file) and re.search(rb"^_BASE_\s*:", file.read_bytes(), re.MULTILINE):
        raise ConfigError(f"{path}: has a _BASE_, which is looked for on disks alone; give a run's config.yaml")
    opts = list(opts)
    cfg = get_cfg()
    add_campus_config(cfg)
    try:
        cfg.merge_from_file(str(file), allow_unsafe=False)
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path}: not a YAML config ({error}); see configs/ for examples") from None
    except OSError as error:
        raise ConfigError(f"{path}: its _BASE_ {error.filename} cannot be read ({error.strerror})") from None
    except RecursionError:
        raise ConfigError(f"{path}: its _BASE_ leads back to itself; name another file there") from None
    except (KeyError, ValueError, AssertionError) as error:
        raise ConfigError(f"{path}: {_reason(error)}; the keys are in campus_seg/config.py") from None
    if len(opts) % 2:
        raise ConfigError(f"arguments {' '.join(opts)}: KEY VALUE pairs are wanted, and one has no value")
    try:
        cfg.merge_from_list(_with_floats(cfg, opts))
    except (KeyError, ValueError, AssertionError) as error:
        raise ConfigError(f"arguments {' '.join(opts)}: {_reason(error)}; check the KEY VALUE pairs") from None
    _check_uris(cfg)
    if "MODEL.DEVICE" not in opts[::2]:
        cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    if beside(config_file, CLASSES_FILE):  # a run's own config, wherever the run was moved to
        if "OUTPUT_DIR" not in opts[::2]:
            cfg.OUTPUT_DIR = run_folder(config_file)
        if "CAMPUS.SPLIT_FILE" not in opts[::2]:
            cfg.CAMPUS.SPLIT_FILE = beside(config_file, SPLIT_FILE)
    return cfg


def _check_uris(value: Any) -> None:
    """Makes sure that no URI in a config, or a part of one, holds a secret."""
    for text in _texts(value):
        if is_uri(text):
            checked_uri(text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def run_folder(config_file: str) -> str:
    """The folder that a config lies in, a path or a URI."""
    return parent(config_file) if is_uri(config_file) else str(find_config_file(config_file).parent)


def run_name(config_file: str) -> str:
    """A run's name for people: its folder's."""
    folder = run_folder(config_file)
    return base_name(folder) if is_uri(folder) else Path(folder).resolve().name


def beside(config_file: str, name: str) -> str:
    """The path or URI of a file beside a run's config.yaml; "" where there is none."""
    if is_uri(config_file):
        uri = join(parent(config_file), name)
        return uri if exists(uri) else ""
    path = Path(run_folder(config_file), name)
    return str(path) if path.is_file() else ""


def export_options(cfg: CfgNode) -> ExportOptions:
    """The policies of `cfg.CAMPUS` as the importer takes them, which knows no config.

    Raises:
        ConfigError: a policy that does not exist, or a class that stands there twice.
    """
    campus = cfg.CAMPUS
    return ExportOptions(
        image_root=campus.IMAGE_ROOT,
        classes=tuple(campus.CLASSES),
        rectangles=campus.RECTANGLES,
        annotators=campus.ANNOTATORS,
        background=campus.BACKGROUND,
    )


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else error)


def _with_floats(cfg: CfgNode, opts: list[str]) -> list[str]:
    """`opts` with a point behind whole numbers for keys that hold floats, which yacs would refuse."""
    result = list(opts)
    for i in range(0, len(opts), 2):
        node = cfg
        for part in opts[i].split("."):
            node = node.get(part) if isinstance(node, CfgNode) else None
        if isinstance(node, float) and re.fullmatch(r"[+-]?\d+", opts[i + 1]):
            result[i + 1] += ".0"
    return result


def get_key(cfg: CfgNode, key: str) -> Any:
    """The value of a key such as "SOLVER.AMP.ENABLED"."""
    for part in key.split("."):
        cfg = cfg[part]
    return cfg


def set_key(cfg: CfgNode, key: str, value: Any) -> None:
    """Sets, in place, what `get_key` gives."""
    node, _, name = key.rpartition(".")
    (get_key(cfg, node) if node else cfg)[name] = value


def use_run_weights(cfg: CfgNode, config_file: str, opts: list[str] = ()) -> None:
    """Points `MODEL.WEIGHTS` at the model beside a run's config.yaml, unless `opts` give it.

    Raises:
        ConfigError: no weights lie beside the file.
    """
    if "MODEL.WEIGHTS" in list(opts)[::2]:
        return
    found = next(filter(None, (beside(config_file, name) for name in RUN_WEIGHTS)), "")
    if not found:
        raise ConfigError(
            f"{config_file}: no {' or '.join(RUN_WEIGHTS)} beside it; give a finished run's config.yaml, "
            "or set the key MODEL.WEIGHTS to the weights' file"
        )
    cfg.MODEL.WEIGHTS = found
