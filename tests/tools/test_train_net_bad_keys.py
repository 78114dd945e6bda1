"""Keys that leave nothing to train on, or that a run could not keep to: one line, before anything is written."""

import json

import pytest
from drawn import SMALL_MODEL, draw_export

from campus_seg.tools.train_net import main


def train(export, output, *opts, flags=()):
    given = ["CAMPUS.EXPORT", str(export), "OUTPUT_DIR", str(output), "DATALOADER.NUM_WORKERS", "0"]
    main(["--config-file", "configs/mask_rcnn_mini_FPN.yaml", *flags, *SMALL_MODEL, *given, *map(str, opts)])


def split_file(folder, drawn, **counts):
    """An earlier split.json with the photos in their order, so many to each split."""
    names = iter([f"images/{name}" for name in drawn.photos])
    split = {split: [next(names) for _ in range(counts.get(split, 0))] for split in ("train", "val", "test")}
    (folder / "split.json").write_text(json.dumps(split))
    return ["CAMPUS.SPLIT_FILE", folder / "split.json"]


@pytest.mark.parametrize(
    "opts, message",
    [
        (
            ["DATASETS.TRAIN", "()"],
            "DATASETS.TRAIN [] with DATALOADER.FILTER_EMPTY_ANNOTATIONS False leaves no photo to train on; give "
            "DATASETS.TRAIN \"('campus_train',)\", or label more photos",
        ),
        (
            ["DATASETS.TRAIN", "('campus_val',)", "CAMPUS.SPLIT", "[0.5, 0.0, 0.5]"],
            "DATASETS.TRAIN ['campus_val'] with DATALOADER.FILTER_EMPTY_ANNOTATIONS False leaves no photo to train on",
        ),
        (
            ["SOLVER.REFERENCE_WORLD_SIZE", "8"],
            "SOLVER.REFERENCE_WORLD_SIZE 8: the batch is what SOLVER.IMS_PER_BATCH says, whatever the number of "
            "processes; set it to 0",
        ),
    ],
)
def test_bad_keys_are_one_line_and_leave_nothing(opts, message, tmp_path, capsys):
    export = draw_export(photos=4).write_zip(tmp_path / "export.zip")
    with pytest.raises(SystemExit) as stopped:
        train(export, tmp_path / "output", *opts)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {message}")
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("batch, fitting", [(1, 2), (3, 4)])
def test_processes_take_equal_shares_of_a_batch(batch, fitting, tmp_path, capsys):
    export = draw_export(photos=4).write_zip(tmp_path / "export.zip")
    with pytest.raises(SystemExit) as stopped:
        train(export, tmp_path / "output", "SOLVER.IMS_PER_BATCH", batch, flags=["--num-gpus", "2"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        f"error: SOLVER.IMS_PER_BATCH {batch}: the 2 processes take equal shares of each batch; give a multiple of 2, "
        f"such as {fitting}\n"
    )
    assert not (tmp_path / "output").exists()


def test_other_photos_may_be_trained_on(tmp_path, capsys):
    """By DATASETS.TRAIN: what is counted, wanted and missed is there and not in campus_train."""
    drawn = draw_export(photos=6)
    labels = {category["name"]: category["id"] for category in drawn.coco["categories"]}
    drawn.coco["annotations"] = [a for a in drawn.coco["annotations"] if a["image_id"] in (2, 3)]
    for annotation in drawn.coco["annotations"]:
        annotation["category_id"] = labels["dog" if annotation["image_id"] == 2 else "car"]
    export = drawn.write_zip(tmp_path / "export.zip")
    opts = [*split_file(tmp_path, drawn, train=2, val=1, test=3), "CAMPUS.GROUP_BY", ""]
    opts += ["SOLVER.MAX_ITER", 1, "DATASETS.TEST", "()"]
    with pytest.raises(SystemExit):
        train(export, tmp_path / "output", *opts)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: no photo for training holds an object") and "DATASETS.TRAIN ['campus_train']" in line
    train(export, tmp_path / "output", *opts, "DATASETS.TRAIN", "('campus_val',)")
    log = (tmp_path / "output/log.txt").read_text()
    assert "epochs of 1 photos" in log
    assert "No training photo holds car" in log and "No training photo holds dog" not in log


def test_a_training_set_that_filtering_empties(tmp_path, capsys):
    """A run that goes on with other DATASETS finds no photo with an object."""
    drawn = draw_export(photos=6)
    drawn.coco["annotations"] = [a for a in drawn.coco["annotations"] if a["image_id"] < 2]
    export = drawn.write_zip(tmp_path / "export.zip")
    opts = [*split_file(tmp_path, drawn, train=2, val=2, test=2), "CAMPUS.GROUP_BY", "", "DATASETS.TEST", "()"]
    train(export, tmp_path / "output", *opts, "SOLVER.MAX_ITER", 1)
    given = ["DATASETS.TRAIN", "('campus_val',)", "DATALOADER.FILTER_EMPTY_ANNOTATIONS", "True"]
    with pytest.raises(SystemExit) as stopped:
        train(export, tmp_path / "output", *opts, *given, "SOLVER.MAX_ITER", 2, flags=["--resume"])
    assert stopped.value.code == 2
    assert (
        "DATALOADER.FILTER_EMPTY_ANNOTATIONS True leaves no photo to train on"
        in capsys.readouterr().err.splitlines()[-1]
    )
