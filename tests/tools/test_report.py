"""tools/report.py: a run's page anew, and runs side by side."""

import json
import os
import shutil

import pytest
from drawn import draw_export
from judged_runs import write_judged_run
from small_runs import train

from campus_seg.evaluation.run_comparison import against_run_before, compare_runs
from campus_seg.evaluation.run_files import RunFiles
from campus_seg.tools.report import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run, and a better one on the same photos under other names with one class more; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    drawn = draw_export(photos=100)
    write_judged_run(folder / "first", drawn.write_zip(folder / "e.zip"), share=0.3, trained=False)
    for image in drawn.coco["images"]:  # uploaded again
        name = image["file_name"].rpartition("/")[2]
        image["file_name"] = f"new-{name}"
        drawn.photos[f"new-{name}"] = drawn.photos.pop(name)
    drawn.coco["annotations"][-1]["category_id"] = 0  # a bench
    write_judged_run(folder / "second", drawn.write_zip(folder / "f.zip"), share=0.95, trained=False)
    return folder / "first", folder / "second"


def test_runs_are_compared_on_the_photos_that_both_know(folders):
    compared = compare_runs([RunFiles(folder) for folder in folders], draws=100)
    first, second = (RunFiles(folder) for folder in folders)
    shared = set(first.identities("test")) & set(second.identities("test"))
    assert compared.photos == len(shared) > 0
    assert compared.left_out == ["bench"]
    assert set(compared.classes) <= {"car", "dog", "person"}
    assert compared.overall[0].exceeds_noise and compared.overall[0].value > 10
    backwards = compare_runs([second, second], draws=10)
    assert backwards.overall[0].value == 0 and "bench" not in backwards.left_out


def test_a_run_compared_with_itself_has_the_ap_of_its_evaluation(folders):
    run = RunFiles(folders[0])
    compared = compare_runs([run, run], draws=10)
    assert compared.overall[0].first == pytest.approx(run.analysis("test")["figures"]["segm"]["AP"])
    for entry in run.analysis("test")["by_class"]:
        if entry["objects"]:
            ap = compared.by_class[0][entry["name"]].first
            assert ap == pytest.approx(entry["figures"]["segm"]["AP"])


def test_the_run_before(folders, tmp_path, caplog):
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(folders[0], first)
    shutil.copytree(folders[1], second)
    os.utime(first / "classes.json", (1000, 1000))
    os.utime(second / "classes.json", (2000, 2000))
    assert against_run_before(RunFiles(first)) is None
    assert against_run_before(RunFiles(second)).base.folder == first  # the older one beside it
    elsewhere = tmp_path / "below" / "third"
    shutil.copytree(folders[1], elsewhere)
    assert against_run_before(RunFiles(elsewhere)) is None
    config = elsewhere / "config.yaml"
    config.write_text(config.read_text().replace("SPLIT_FILE: ''", f"SPLIT_FILE: {first}/split.json"))
    assert against_run_before(RunFiles(elsewhere)).base.folder == first  # whose split it has
    config.write_text(config.read_text().replace(f"{first}/split.json", "s3://b/first/split.json"))
    with caplog.at_level("INFO"):
        assert against_run_before(RunFiles(elsewhere)) is None  # which is not fetched
    assert "s3:" not in caplog.text
    config.write_text(config.read_text().replace("s3://b/first/split.json", f"{first}/split.json"))
    (first / "inference/campus_test/coco_instances_results.json").unlink()
    (first / "inference/campus_val/coco_instances_results.json").unlink()
    assert against_run_before(RunFiles(elsewhere)) is None  # there is nothing to compare with


def without_masks(run):
    for split in ("val", "test"):
        results = run / f"inference/campus_{split}/coco_instances_results.json"
        boxes = [{k: v for k, v in one.items() if k != "segmentation"} for one in json.loads(results.read_text())]
        results.write_text(json.dumps(boxes))


def with_split(text):
    return lambda run: (run / "split.json").write_text(text)


@pytest.mark.parametrize(
    "damage, told",
    [
        (without_masks, "coco_instances_results.json: no predictions (Object missing required field `segmentation`"),
        (with_split('{"test": 0.2}'), "split.json: damaged (Expected"),
        (with_split("{}"), "split.json: has 0 photos for test, the import 30; one of them is of another run"),
    ],
)
def test_a_damaged_neighbour_costs_no_page_and_is_named_where_it_is_compared(damage, told, folders, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(folders[0], first)
    shutil.copytree(folders[1], second)
    damage(first)
    os.utime(first / "classes.json", (1000, 1000))
    assert against_run_before(RunFiles(second)) is None
    with pytest.raises(SystemExit) as stopped:
        main(["--compare", str(first), str(second)])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {first}") and told in line


def test_the_command_says_what_exceeds_the_noise(folders, tmp_path, capsys):
    main(["--compare", *map(str, folders), "--output", str(tmp_path / "c.html")])
    title, base, other, left_out, page = capsys.readouterr().out.splitlines()
    assert title.startswith("Mask AP on the ") and title.endswith(" test photos that all runs were evaluated on")
    assert base.endswith(str(folders[0])) and str(folders[1]) in other and other.endswith(": better)")
    assert left_out.endswith("know them: bench") and page.startswith(f"{tmp_path / 'c.html'} (open")
    assert "Better" in (tmp_path / "c.html").read_text(encoding="utf-8")


def test_a_training_leaves_a_page_and_the_tool_makes_it_anew(tmp_path, capsys):
    """Also where an earlier version evaluated the run, without an analysis."""
    output = tmp_path / "output"
    opts = ["SOLVER.MAX_ITER", 3, "CAMPUS.SPLIT", "[0.6, 0.2, 0.2]", "CAMPUS.EVALUATION.REPORT", True]
    train(draw_export(photos=10).write_zip(tmp_path / "e.zip"), output, *opts)
    page = output / "report/index.html"
    log = (output / "log.txt").read_text()
    assert f"What to look at first: {page}" in log and f"its figures and report/index.html lie in {output}." in log
    assert "Losses" in page.read_text(encoding="utf-8")
    page.unlink()
    analysis = output / "inference/campus_test/analysis.json"
    before = json.loads(analysis.read_text())
    analysis.unlink()
    capsys.readouterr()
    main(["--config-file", str(output / "config.yaml")])
    assert capsys.readouterr().out.splitlines()[-1] == f"{page} (open it in a browser)"
    assert page.is_file() and json.loads(analysis.read_text()) == before


def test_predictions_in_a_file_are_judged_without_a_model(folders, tmp_path, capsys):
    run, results = folders[0], folders[0] / "inference/campus_test/coco_instances_results.json"
    arguments = ["--config-file", str(run / "config.yaml"), "--predictions", str(results)]
    main([*arguments, "--output", str(tmp_path / "figures.json")])
    known = RunFiles(run).analysis("test")
    assert json.loads((tmp_path / "figures.json").read_text()) == known
    shown = capsys.readouterr().out
    assert f"segm, {known['photos']} test photos, {known['objects']} objects:" in shown
    assert f"{known['figures']['segm']['AP']:.3f}" in shown and "car: mask AP " in shown
    main([*arguments[:3], str(run / "inference/campus_val/coco_instances_results.json")])
    assert f"{RunFiles(run).analysis('val')['figures']['segm']['AP']:.3f}" in capsys.readouterr().out
    val = RunFiles(run).results("val")
    (tmp_path / "p.json").write_text(json.dumps(val))
    main([*arguments[:3], str(tmp_path / "p.json"), "--split", "val"])
    assert f"{RunFiles(run).analysis('val')['figures']['segm']['AP']:.3f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--compare", "run"], "--compare run: give two runs or more"),
        (["--compare", "absent", "gone"], "absent/classes.json: cannot be read (No such file or directory); give the"),
        (
            ["--compare", __file__, "gone"],
            "test_report.py/classes.json: cannot be read (Not a directory); give the folder",
        ),
        (["--config-file", "absent.yaml"], "absent.yaml: no such file"),
        (["--config-file", "mask_rcnn_mini_FPN.yaml"], "output/classes.json: cannot be read"),
        (["--config-file", "a.yaml", "--output", "b.html"], "--output b.html: is not for a run's page"),
        (["--compare", "a", "b", "--output", "."], "--output .: is a folder"),
        (["--compare", "a", "b", "--opts", "SEED", "1"], "--opts: go with --config-file"),
        (["--config-file", "a.yaml", "--split", "val"], "--predictions and --split: go with --config-file"),
        (["--compare", "a", "b", "--predictions", "p.json"], "--predictions and --split: go with --config-file"),
        (
            ["--config-file", "mask_rcnn_mini_FPN.yaml", "--predictions", "p.json"],
            "campus_test.json: the photos' labels",
        ),
    ],
)
def test_bad_input_is_one_line(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and told in line
    assert list(tmp_path.iterdir()) == []


def test_runs_without_a_photo_in_common_are_refused(folders, tmp_path, capsys):
    other = tmp_path / "other"
    write_judged_run(other, draw_export(photos=10, seed=5).write_zip(tmp_path / "e.zip"), trained=False)
    with pytest.raises(SystemExit) as stopped:
        main(["--compare", str(folders[0]), str(other)])
    assert stopped.value.code == 2
    assert "have no photos in common on test" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"\xff", b'[{"image_id": 1}]'])
def test_a_damaged_file_is_named(folders, damage, tmp_path, capsys):
    shutil.copytree(folders[0], tmp_path / "run")
    results = tmp_path / "run/inference/campus_test/coco_instances_results.json"
    results.write_bytes(damage)
    with pytest.raises(SystemExit) as stopped:
        main(["--compare", str(folders[1]), str(tmp_path / "run")])
    assert stopped.value.code == 2
    assert f"error: {results}: no predictions" in capsys.readouterr().err
