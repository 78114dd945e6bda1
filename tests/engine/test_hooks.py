import json

import cv2
import pytest

from campus_seg.engine.hooks import plot_losses, read_losses


@pytest.fixture
def metrics(tmp_path):
    lines = [{"iteration": i, "total_loss": 3.0 - i / 10, "loss_cls": 1.0, "lr": 0.1} for i in (0, 10, 20)]
    lines += [{"iteration": 20, "bbox/AP": 5.0}, {"iteration": 10, "total_loss": 9.0}]
    path = tmp_path / "metrics.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_read_losses(metrics):
    """Losses and nothing else; where a run was resumed, the later line of an iteration counts."""
    assert read_losses(metrics) == {
        "total_loss": [(0, 3.0), (10, 9.0), (20, 1.0)],
        "loss_cls": [(0, 1.0), (10, 1.0), (20, 1.0)],
    }


def test_plot_losses(metrics, tmp_path):
    plot_losses(metrics, tmp_path / "losses.png")
    picture = cv2.imread(str(tmp_path / "losses.png"))
    assert picture.shape[0] > 300 and picture.std() > 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["losses.png", "metrics.json"]
