import json
import os
import shutil
from pathlib import Path

import pytest
import storage_servers
from drawn import SMALL_MODEL, draw_export

from campus_seg.benchmarks import importing
from campus_seg.benchmarks.drawn_export import draw_export as draw_drawn
from campus_seg.storage_objects import exists
from campus_seg.tools.benchmark import main

TOOL = Path(__file__).parents[2] / "tools" / "benchmark.py"
QUICK = ["mapper", "--photos", "3", "--rounds", "1"]


pytestmark = pytest.mark.usefixtures("threads_as_they_were")


@pytest.mark.parametrize("source", ["drawn", "export"])
def test_the_mapper_is_compared(source, tmp_path, capsys):
    argv = [*QUICK, "--json", str(tmp_path / "new" / "mapper.json")]
    if source == "export":
        argv += ["--export", str(draw_export(photos=3).write_zip(tmp_path / "export.zip"))]
    assert main([*argv, "--opts", "CAMPUS.INPUT_SIZE", "320"]) == 0
    figures = json.loads((tmp_path / "new" / "mapper.json").read_text())
    assert (figures["photos"], figures["input_size"]) == (3, 320)
    assert figures["objects"] >= 6
    said = capsys.readouterr().out
    for name in ("mapper_vs_image_only", "mapper_vs_detectron2"):
        assert figures["ratios"][name] > 0
        assert name in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--opts", "X", "1"], "X"),
        (["--opts", "CAMPUS.INPUT_SIZE"], "one has no value"),
        (["--opts", "CAMPUS.RESIZE", "squash"], 'CAMPUS.RESIZE is "squash"'),
        (["--opts", "CAMPUS.AUGMENTATIONS", ""], "CAMPUS.AUGMENTATIONS"),
        (["--export", "nowhere.zip"], "nowhere.zip"),
        (["--rounds", "0"], "0 is less than 1"),
        (["--json", f"{__file__}/a.json"], "cannot be written to"),
        (["--json", "s3://a.json"], "s3://a.json: a file on this machine is wanted here"),
    ],
)
def test_bad_commands_have_status_2_and_one_line(more, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*QUICK, *more])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize("source", ["temporary", "kept", "zip"])
def test_the_import_is_compared(source, tmp_path, capfd):
    kept = str(tmp_path / "kept")
    argv = ["import", "--photos", "20", "--annotations", "200", "--repeats", "1"]
    if source != "temporary":
        argv += ["--keep", kept]
    if source == "zip":
        draw_drawn(Path(kept), 30, 100)
        argv = ["import", "--repeats", "1", "--export", shutil.make_archive(str(tmp_path / "drawn"), "zip", kept)]
    assert main([*argv, "--json", str(tmp_path / "new" / "import.json")]) == 0
    figures = json.loads((tmp_path / "new" / "import.json").read_text())
    assert (figures["photos"], figures["annotations"]) == ((30, 100) if source == "zip" else (20, 200))
    said = capfd.readouterr().out
    for section in ("seconds", "process_seconds", "peak_mb"):
        assert list(figures[section]) == ["coco", "headers", "check", "check_again"]
        assert section in said
    for side, seconds in figures["seconds"].items():
        assert 0 < seconds < figures["process_seconds"][side]
        assert figures["peak_mb"][side] > 5
    seconds, ratios = figures["seconds"], figures["ratios"]
    assert ratios["import_vs_pycocotools"] == (seconds["check"] - seconds["headers"]) / seconds["coco"]
    assert ratios["import_again_vs_pycocotools"] == seconds["check_again"] / seconds["coco"]
    assert "import_vs_pycocotools" in said
    assert (tmp_path / "kept").exists() == (source != "temporary")


@pytest.mark.parametrize("repeats", [1, 3])
def test_of_several_repeats_the_median_counts_and_the_order_changes(repeats, tmp_path, monkeypatch):
    taken = iter([5.0, 1.0, 20.0, 6.0, 2.0, 30.0, 7.0, 9.0, 3.0, 70.0, 4.0, 8.0])  # headers first, then check first
    order = []

    def run(side, export, labels, cache):
        order.append((side, cache))
        seconds = next(taken)
        return {
            "seconds": seconds,
            "process_seconds": seconds,
            "peak_mb": 1.0,
            "counts": {"photos": 2, "annotations": 3},
        }

    monkeypatch.setattr(importing, "_run_side", run)
    argv = ["import", "--photos", "2", "--annotations", "3", "--repeats", str(repeats)]
    assert main([*argv, "--json", str(tmp_path / "import.json")]) == 0
    figures = json.loads((tmp_path / "import.json").read_text())
    turns = ["coco", "headers", "check", "check_again"]
    turns += ["headers", "check", "check_again", "coco", "check", "check_again", "coco", "headers"]
    assert [side for side, _ in order] == turns[: 4 * repeats]
    caches = [cache for side, cache in order if side == "check"]
    assert caches == [cache for side, cache in order if side == "check_again"]
    assert len(set(caches)) == repeats
    medians = {1: (5, 1, 20, 6), 3: (5, 2, 20, 7)}  # (5, 9, 4), (1, 2, 8), (20, 30, 3) and (6, 7, 70) of three
    assert tuple(figures["seconds"].values()) == medians[repeats]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--photos", "0"], "0 is less than 1"),
        (["--annotations", "-1"], "-1 is less than 1"),
        (["--repeats", "none"], "invalid at_least_one value"),
        (["--export", "nowhere.zip"], "nowhere.zip"),
        (["--export", f"{__file__}"], "zip"),
        (["--export", str(Path(__file__).parent)], "no photos in images/"),
        (["--keep", str(Path(__file__).parent)], "is not empty"),
        (["--keep", "a", "--export", "b"], "not allowed with"),
        (["--json", f"{__file__}/a.json"], "cannot be written to"),
    ],
)
def test_bad_imports_have_status_2_and_one_line(more, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["import", *more])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


def test_an_export_that_a_side_refuses_says_so(tmp_path, capsys):
    draw_drawn(tmp_path / "export", 2, 3)
    (tmp_path / "export" / "result.json").write_text("{}")
    with pytest.raises(SystemExit) as stopped:
        main(["import", "--export", str(tmp_path / "export")])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "check ended with status 2" in said
    assert "is other JSON" in said


TRANSFER = ["transfer", "--known-photos", "6", "--known-iterations", "2", "--photos", "4", "--test-photos", "5"]


@pytest.mark.usefixtures("one_thread")
def test_transfer_is_compared(tmp_path, capsys):
    argv = [*TRANSFER, "--iterations", "3", "--checkpoints", "2", "--seeds", "2", "--json", str(tmp_path / "t.json")]
    assert main([*argv, "--opts", *SMALL_MODEL]) == 0
    figures = json.loads((tmp_path / "t.json").read_text())
    assert (figures["known"]["photos"], figures["new"]["photos"], figures["new"]["test_photos"]) == (6, 4, 5)
    assert list(figures["curves"]) == ["scratch", "transfer"]
    for curves in figures["curves"].values():
        assert len(curves) == 2
        for curve in curves:
            assert [point["iterations"] for point in curve] == [0, 1, 3]
            assert [point["seconds"] for point in curve] == sorted(point["seconds"] for point in curve)
            assert all(0 <= point["ap"] <= 100 for point in curve)
    assert "transfer_ap_gain" in figures["ratios"]
    said = capsys.readouterr().out
    assert "transfer_ap_gain" in said
    assert figures["table"].count("\n| ") == 3 and figures["table"] in said


@pytest.fixture
def known_server(tmp_path, monkeypatch):
    """An S3 server that this process has spoken with already."""
    with storage_servers.s3(tmp_path) as server:
        server.set(monkeypatch)
        assert not exists(f"{server.uri}/nothing.jpg")
        yield server


@pytest.mark.storage
@pytest.mark.usefixtures("known_server")
def test_a_bucket_is_compared_with_the_disk(tmp_path, capsys):
    argv = ["storage", "--photos", "8", "--turns", "1", "--steps", "2", "--json", str(tmp_path / "s.json")]
    assert main([*argv, "--opts", *SMALL_MODEL]) == 0
    figures = json.loads((tmp_path / "s.json").read_text())
    disk, bucket = (figures["sides"][side] for side in ("ours_mini", "ours_mini_bucket"))
    assert figures["ratios"] == {
        "storage_step_vs_disk": pytest.approx(bucket["seconds_a_step"] / disk["seconds_a_step"]),
        "storage_data_time_share": bucket["data_time_share"],
    }
    assert bucket["what"].endswith("from a bucket") and "storage_data_time_share" in capsys.readouterr().out


@pytest.mark.processes
def test_two_processes_are_compared_with_one(tmp_path, capsys):
    argv = ["scaling", "--photos", "8", "--turns", "1", "--steps", "1", "--json", str(tmp_path / "s.json")]
    assert main([*argv, "--opts", *SMALL_MODEL]) == 0
    figures = json.loads((tmp_path / "s.json").read_text())
    one, two = figures["photos_a_second"].values()
    assert one > 0 and figures["ratios"] == {"train_scaling_efficiency": pytest.approx(two / one / 2)}
    assert "train_scaling_efficiency" in capsys.readouterr().out


RECIPES = ["recipes", "--photos", "6", "--test-photos", "4", "--iterations", "2", "--checkpoints", "1", "--seeds", "1"]


def test_recipes_are_compared(tmp_path, capsys):
    file = tmp_path / "recipes.json"
    assert main([*RECIPES, "--json", str(file), "--opts", *SMALL_MODEL, "DATALOADER.NUM_WORKERS", "0"]) == 0
    figures = json.loads(file.read_text())
    for curve in (figures["curves"]["ours"][0], figures["curves"]["stock"][0]):
        assert [point["iterations"] for point in curve] == [0, 2]
        assert curve[1]["seconds"] > 0
    assert {"recipes_ap_gain", "recipes_ap_gain_same_time"} == set(figures["ratios"])
    assert "recipes_ap_gain" in capsys.readouterr().out


RANK = [
    *("rank", "--known-photos", "4", "--known-iterations", "2", "--photos", "9", "--test-photos", "3"),
    *("--start", "4", "--step", "2", "--rounds", "2", "--iterations", "2", "--seeds", "2"),
]


def test_labelling_is_simulated(tmp_path, capsys):
    file, picture = tmp_path / "new/rank.json", tmp_path / "other/rank.png"
    assert main([*RANK, "--json", str(file), "--picture", str(picture), "--opts", *SMALL_MODEL]) == 0
    figures = json.loads(file.read_text())
    for name in ("random", "ranked"):
        assert [[stage["photos"] for stage in curve] for curve in figures["curves"][name]] == [[4, 6, 8]] * 2
        assert all(curve[0]["objects"] < curve[2]["objects"] for curve in figures["curves"][name])
    assert [curve[0] for curve in figures["curves"]["random"]] == [curve[0] for curve in figures["curves"]["ranked"]]
    assert "rank_ap_gain" in figures["ratios"]
    assert picture.stat().st_size > 1000
    said = capsys.readouterr().out
    assert "rank_ap_gain" in said and figures["table"] in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--rounds", "3"], "--photos 9: 10 are to be labelled in the end"),
        (["--picture", "curve.txt"], "curve.txt ends neither in .png nor in .svg"),
        (["--picture", f"{__file__}/a.png"], "cannot be written to"),
    ],
)
def test_bad_simulations_have_status_2_and_one_line(more, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*RANK, *more])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--photos", "0"], "0 is less than 1"),
        (["--checkpoints", "7", "--iterations", "6"], "--checkpoints 7 are more than --iterations 6"),
        (["--json", f"{__file__}/a.json"], "cannot be written to"),
    ],
)
def test_bad_transfers_have_status_2_and_one_line(more, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*TRANSFER, *more])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


def test_it_can_be_run_as_a_program():
    assert os.access(TOOL, os.X_OK)
    assert TOOL.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
