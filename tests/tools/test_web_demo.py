"""The arguments of tools/web_demo.py, and what it says before a model is loaded."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from campus_seg.tools.web_demo import PASSWORD_VARIABLE, get_parser, main

TOOL = Path(__file__).resolve().parents[2] / "tools/web_demo.py"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", PASSWORD_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_what_holds_where_nothing_is_said():
    args = get_parser().parse_args(["--config-file", "x"])
    assert (args.host, args.port, args.share, args.password_file) == ("127.0.0.1", 7860, False, None)
    assert (args.max_mb, args.max_megapixels, args.waiting, args.confidence_threshold) == (20, 50, 20, 0.5)
    assert args.project is None and args.opts == []


@pytest.mark.parametrize(
    ("argument", "value", "reason"),
    [
        *(("--port", value, "no whole number") for value in ("-1", "٨٠", "1_0", "", "7860.0", "0x1F", " 80")),
        ("--port", "70000", "70000 is more than 65535"),
        *(("--max-mb", value, "not within 0.1 and 200") for value in ("0", "201", "nan", "inf")),
        ("--max-megapixels", "179", "not within 0.1 and 178"),
        ("--waiting", "-1", "less than 0"),
        *(("--confidence-threshold", value, "not within 0.05 and 1") for value in ("0.04", "1.01", "nan")),
        ("--confidence-threshold", "auto", "no number"),
    ],
)
def test_values_that_cannot_be(argument, value, reason, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--config-file", "x", f"{argument}={value}"])
    assert ended.value.code == 2 and reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["--url", "http://h"],
            "error: --url: say with --project N into which project of Label Studio photos are to go",
        ),
        (["--password-file", "absent"], "error: absent: cannot be read (No such file or directory); give another file"),
    ],
)
def test_what_does_not_go_together(arguments, reason, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--config-file", "x", *arguments])
    assert ended.value.code == 2 and capsys.readouterr().err.strip() == reason


def test_a_password_that_is_none(monkeypatch, capsys):
    monkeypatch.setenv(PASSWORD_VARIABLE, "two words")
    with pytest.raises(SystemExit) as ended:
        main(["--config-file", "x"])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and PASSWORD_VARIABLE in told and "two words" not in told


def test_help_needs_no_model():
    command = [sys.executable, "-X", "importtime", str(TOOL), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--password-file" in done.stdout
    assert not any(
        line.endswith(f" {name}") for line in done.stderr.splitlines() for name in ("torch", "gradio", "cv2")
    )


def test_a_port_that_is_taken(tmp_path):
    """One line, before a model is loaded: the run is none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, str(TOOL), "--config-file", str(tmp_path / "config.yaml"), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout
    assert (
        done.stderr == f"error: 127.0.0.1:{port}: cannot be listened on (Address already in use); give another --port\n"
    )


def test_a_run_that_is_none(tmp_path):
    command = [sys.executable, str(TOOL), "--config-file", str(tmp_path / "config.yaml"), "--port", "0"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "", "TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert [path for path in tmp_path.iterdir() if "torch" not in path.name] == []  # and nothing of gradio's
