import json

import cv2
import pytest

from campus_seg.evaluation.loss_curves import losses_of, plot_losses, smoothed
from campus_seg.metrics_file import read_metrics


@pytest.fixture
def metrics(tmp_path):
    lines = [{"iteration": i, "total_loss": 3.0 - i / 10, "loss_cls": 1.0, "lr": 0.1} for i in (0, 10, 20)]
    lines += [{"iteration": 20, "bbox/AP": 5.0}, {"iteration": 10, "total_loss": 9.0}]
    path = tmp_path / "metrics.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_losses_of(metrics):
    """Losses and nothing else; where a run was resumed, the later line of an iteration counts."""
    assert losses_of(read_metrics(metrics)) == {
        "total_loss": [(0, 3.0), (10, 9.0), (20, 1.0)],
        "loss_cls": [(0, 1.0), (10, 1.0), (20, 1.0)],
    }


def test_plot_losses(metrics, tmp_path):
    plot_losses(metrics, tmp_path / "losses.png")
    picture = cv2.imread(str(tmp_path / "losses.png"))
    assert picture.shape[0] > 300 and picture.std() > 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["losses.png", "metrics.json"]


def test_losses_of_other_photos_and_of_a_line_cut_off(tmp_path):
    path = tmp_path / "metrics.json"
    lines = [{"iteration": i, "val/total_loss": 2.0, "test/loss_cls": 1.0, "campus_val/segm/AP": 9.0} for i in (4, 9)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"iteration": 14, "val/total_lo')
    losses = losses_of(read_metrics(path))
    assert losses == {"val/total_loss": [(4, 2.0), (9, 2.0)], "test/loss_cls": [(4, 1.0), (9, 1.0)]}


@pytest.mark.parametrize("names", [(), ("total_loss",), ("val/total_loss", "test/total_loss")])
def test_plot_losses_of_any_curves(names, tmp_path):
    """No curve at all, too: a run may be broken off before its first line."""
    path = tmp_path / "metrics.json"
    path.write_text("".join(json.dumps({"iteration": i, **dict.fromkeys(names, 1.0)}) + "\n" for i in (4, 9)))
    plot_losses(path, tmp_path / "losses.png", best=4)
    assert cv2.imread(str(tmp_path / "losses.png")).shape[0] > 300


def test_the_best_iteration_is_a_line_of_its_own(metrics, tmp_path):
    plot_losses(metrics, tmp_path / "without.png")
    plot_losses(metrics, tmp_path / "with.png", best=10)
    without, marked = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("without", "with"))
    dark = (marked.max(axis=2) < 60) & (without.max(axis=2) >= 60)
    assert dark.sum(axis=0).max() > 100  # pixels in one column


def test_smoothed():
    assert smoothed([5.0]) == [5.0]
    straight = [float(i) for i in range(40)]
    assert smoothed(straight) == pytest.approx(straight)  # which a line that lags behind is not
    peak = [0.0] * 20 + [5.0] + [0.0] * 19  # 40 values, so that a window reaches two to either side
    assert smoothed(peak)[17:24] == [0, 1, 1, 1, 1, 1, 0]
