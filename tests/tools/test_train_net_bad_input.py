"""Every bad input: one line, status 2, and nothing left behind."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from drawn import draw_export
from small_runs import command_line, train

from campus_seg.data.sampler import EpochSampler
from campus_seg.tools.train_net import main


def test_losses_that_are_no_numbers_stop_the_run(export, tmp_path):
    output = tmp_path / "output"
    opts = ["SOLVER.BASE_LR", "1e30", "SOLVER.MAX_ITER", 9, "SOLVER.CHECKPOINT_PERIOD", 1, "DATASETS.TEST", "()"]
    done = subprocess.run(command_line(export, output, *opts), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    iteration = int(re.match(r"error: iteration (\d+): the losses are no numbers any more", line)[1])
    images = json.loads((output / "import/campus_train.json").read_text())["images"]
    upright = torch.tensor([image["height"] > image["width"] for image in images])
    drawn = itertools.islice(EpochSampler(14, 42, upright=upright, batch=4), 4 * iteration, 4 * iteration + 4)
    names = [images[position % 14]["file_name"] for position in drawn]
    assert re.findall(r"images/(\S+?\.jpg)", line) == names
    assert "Traceback" not in done.stdout + done.stderr
    assert "Traceback" in (output / "log.txt").read_text()
    assert [path.name for path in output.glob("model_*.pth")]


def test_too_little_memory_is_found_before_the_first_step(export, tmp_path, monkeypatch, capsys):
    def forward(self, image):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("campus_seg.modeling.mini_backbone.MiniBackbone.forward", forward)
    with pytest.raises(SystemExit) as stopped:
        train(export, tmp_path / "output", "SOLVER.MAX_ITER", 2)
    assert stopped.value.code == 2
    assert "lower SOLVER.IMS_PER_BATCH (4) or CAMPUS.INPUT_SIZE (128)" in capsys.readouterr().err.splitlines()[-1]


def no_change(export, tmp_path):
    return export.write_zip(tmp_path / "export.zip")


def without_photos(export, tmp_path):
    export.photos.clear()
    return no_change(export, tmp_path)


def without_objects(export, tmp_path):
    export.coco["annotations"] = []
    return no_change(export, tmp_path)


def objects_in_test_alone(export, tmp_path):
    """Objects only where an earlier split has its test photos."""
    names = [f"images/{name}" for name in export.photos]
    (tmp_path / "split.json").write_text(json.dumps({"train": [], "val": [], "test": names[:2]}))
    export.coco["annotations"] = [a for a in export.coco["annotations"] if a["image_id"] in (0, 1)]
    return no_change(export, tmp_path)


def other_json(export, tmp_path):
    (tmp_path / "export.json").write_text('{"hello": 1}')
    return tmp_path / "export.json"


def empty(export, tmp_path):
    (tmp_path / "export.zip").touch()
    return tmp_path / "export.zip"


def text(tmp_path, name):
    (tmp_path / name).write_text("these are words\n")
    return tmp_path / name


NO_NETWORK = "http://127.0.0.1:9/model_final_f10217.pkl"
BAD = {
    "no export": (lambda e, t: "", [], "CAMPUS.EXPORT"),
    "backend": (no_change, ["CAMPUS.EVALUATION.BACKEND", "fast"], "BACKEND 'fast': choose hotcoco or pycocotools"),
    "masks": (no_change, ["MODEL.MASK_ON", "False"], "CAMPUS.BEST_METRIC segm/AP: with MODEL.MASK_ON False"),
    "missing": (lambda e, t: t / "absent.zip", [], "absent.zip: no such file"),
    "empty": (empty, [], "export.zip: the file is empty"),
    "other json": (other_json, [], "export.json is other JSON"),
    "no photos": (without_photos, [], "none of its 4 photos is there"),
    "no objects": (without_objects, [], "not one object"),
    "unknown key": (no_change, ["CAMPUS.EXPROT", "x"], "Non-existent key: CAMPUS.EXPROT"),
    "wrong type": (no_change, ["CAMPUS.INPUT_SIZE", "large"], "CAMPUS.INPUT_SIZE"),
    "odd pairs": (no_change, ["CAMPUS.INPUT_SIZE"], "KEY VALUE pairs"),
    "policy": (no_change, ["CAMPUS.RECTANGLES", "maybe"], "choose one of mask, drop, error"),
    "optimizer": (no_change, ["CAMPUS.OPTIMIZER", "adam"], "choose SGD or AdamW"),
    "sampler": (no_change, ["DATALOADER.SAMPLER_TRAIN", "RandomSubset"], "choose TrainingSampler or RepeatFactor"),
    "epochs": (no_change, ["CAMPUS.EVAL_EPOCHS", "-1"], "CAMPUS.EVAL_EPOCHS -1.0"),
    "scheduler": (no_change, ["SOLVER.LR_SCHEDULER_NAME", "Cosine"], "Unknown LR scheduler"),
    "resize": (no_change, ["CAMPUS.RESIZE", "squash"], "CAMPUS.RESIZE"),
    "augmentations": (no_change, ["CAMPUS.AUGMENTATIONS", "absent.yaml"], "campus.yaml, original_2023.yaml"),
    "unknown dataset": (no_change, ["DATASETS.TEST", "('campus_tset',)"], "no dataset is called campus_tset"),
    "channels": (no_change, ["CAMPUS.MINI_BACKBONE.CHANNELS", "[8, 16]"], "four stages are wanted"),
    "backbone": (no_change, ["MODEL.BACKBONE.NAME", "foo"], "the model cannot be built"),
    "device": (no_change, ["MODEL.DEVICE", "nonsense"], "the model cannot be built"),
    "absent device": (no_change, ["MODEL.DEVICE", "cuda:99"], "MODEL.DEVICE cuda:99: the number of GPUs here is"),
    "labels outside training": (
        objects_in_test_alone,
        ["CAMPUS.SPLIT_FILE", "split.json"],
        "no photo for training holds an object",
    ),
    "no such split": (
        no_change,
        ["CAMPUS.SPLIT_FILE", "absent.json"],
        "absent.json: no split that can be read (No such",
    ),
    "text as split": (no_change, ["CAMPUS.SPLIT_FILE", "words.pth"], "words.pth: no split that can be read"),
    "evaluate on no split": (
        no_change,
        ["--eval-only", "MODEL.WEIGHTS", "words.pth", "CAMPUS.SPLIT_FILE", "words.pth"],
        "words.pth: no split that can be read",
    ),
    "name pattern": (no_change, ["CAMPUS.GROUP_BY", "("], "CAMPUS.GROUP_BY '(': no regular expression"),
    "name pattern that finds nothing": (no_change, ["CAMPUS.GROUP_BY", "percptual"], "names, such as photo_0.jpg"),
    "evaluate text": (no_change, ["--eval-only", "MODEL.WEIGHTS", "words.pth"], "neither a torch checkpoint"),
    "evaluate nothing": (no_change, ["--eval-only", "MODEL.WEIGHTS", ""], "MODEL.WEIGHTS is empty"),
    "shares": (no_change, ["CAMPUS.SPLIT", "[1.0, 1.0, 1.0]"], "CAMPUS.SPLIT"),
    "frozen classes": (no_change, ["CAMPUS.CLASSES", "['car']"], "is not one of CAMPUS.CLASSES"),
    "text as weights": (no_change, ["MODEL.WEIGHTS", "words.pth"], "words.pth: neither a torch checkpoint"),
    "no such weights": (no_change, ["MODEL.WEIGHTS", "absent.pth"], "absent.pth"),
    "no network": (no_change, ["MODEL.WEIGHTS", NO_NETWORK], "MODEL.WEIGHTS path/to/model_final_f10217.pkl"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(case, tmp_path, monkeypatch, capsys):
    make, opts, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    text(tmp_path, "words.pth")
    path = make(draw_export(photos=4), tmp_path)
    output = tmp_path / "output"
    flags = [opt for opt in opts if opt.startswith("--")]
    with pytest.raises(SystemExit) as stopped:
        train(path, output, "SOLVER.MAX_ITER", 2, *(opt for opt in opts if opt not in flags), flags=flags)
    assert stopped.value.code == 2
    error = capsys.readouterr().err.splitlines()
    lines = [line for line in error if line.startswith("error: ")]
    assert len(lines) == 1 and error[-1] == lines[0], error
    assert message in lines[0]
    assert not output.exists()


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not a YAML config"),
        ("MODEL: {NO_SUCH_KEY: 1}", "Non-existent config key: MODEL.NO_SUCH_KEY"),
        ("!!python/object/apply:os.system ['touch pwned']", "not a YAML config"),
        ("_BASE_: absent.yaml", "absent.yaml"),
        (None, "no such file; give a path, or one of those shipped"),
    ],
)
def test_bad_configs(content, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "my.yaml").write_text(content)
    with pytest.raises(SystemExit) as stopped:
        main(["--config-file", "my.yaml", "CAMPUS.EXPORT", "x.zip"])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "pwned").exists()


def test_the_command_itself(tmp_path):
    """As a process: status 2, the one line alone on standard error, no traceback."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "train_net.py"
    command = [sys.executable, str(tool), "--config-file", "configs/mask_rcnn_mini_FPN.yaml"]
    done = subprocess.run([*command, "CAMPUS.EXPORT", "absent.zip"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: absent\.zip: no such file.*\n", done.stderr)
    assert not list(tmp_path.iterdir())
