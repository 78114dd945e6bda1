"""What can be said of processes before any is started."""

import pytest
import torch

from campus_seg.errors import ConfigError
from campus_seg.processes import check_processes


def test_on_a_machine_without_a_gpu_processes_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert check_processes(1) == ""
    said = "There is no GPU: --num-gpus 4 makes 4 processes on the CPU, with 2 compute threads each"
    assert check_processes(4) == said
    assert check_processes(4, 2) == f"{said}, 8 on 2 machines"
    assert "with 1 compute thread each" in check_processes(9)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "with 3 compute threads each" in check_processes(4)


@pytest.mark.parametrize(
    "processes, gpus, device, says",
    [
        (0, 0, "cpu", "--num-gpus 0"),
        (2, 1, "cuda", "--num-gpus 2: this machine has 1 GPU$"),
        (3, 2, "cuda", "--num-gpus 3: this machine has 2 GPUs"),
        (2, 2, "cpu", "MODEL.DEVICE cpu with 2 processes: .* CUDA_VISIBLE_DEVICES= "),
        (2, 2, "cuda:0", "MODEL.DEVICE cuda:0 with 2 processes: .* MODEL.DEVICE cuda;"),
    ],
)
def test_processes_that_cannot_be(processes, gpus, device, says, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ConfigError, match=says):
        check_processes(processes, device=device)


def test_a_process_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert check_processes(1, device="cpu") == ""
    assert check_processes(2, device="cuda") == "Processes: 2, each on a GPU"
    assert check_processes(1, 3, "cuda") == "Processes: 1, each on a GPU, 3 on 3 machines"
