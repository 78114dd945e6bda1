"""The commands of the README's "Show it to people", typed as they stand there."""

import contextlib
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from fake_label_studio import TOKEN
from preannotated import BOX, CARS, photo
from small_models import write_run

from campus_seg.passwords import find_secret

pytestmark = pytest.mark.pages

ROOT = Path(__file__).resolve().parents[2]
BEGUN = re.compile(r"(http://\S+): the page")
PATIENCE = 120  # seconds, for a server to begin
SAME = {"Sec-Fetch-Site": "same-origin"}  # as the page's own requests


def section():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return readme.split("### Show it to people\n")[1].split("\n### ")[0]


def commands():
    """What the section has for a shell, line by line."""
    blocks = re.findall(r"```sh\n(.*?)```", section(), re.DOTALL)
    return "".join(blocks).replace("\\\n", " ").splitlines()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which `make demo` has left a small model, and in which the other lines were typed."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("tools", "configs", "campus_seg"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "output/demo").mkdir(parents=True)
    write_run(folder / "output/demo")
    for line in commands():
        if "tools/web_demo.py" not in line:
            subprocess.run(["bash", "-c", line], cwd=folder, check=True)
    return folder


@contextlib.contextmanager
def typed(command, folder, **environment):
    """The page's address on this machine, and the lines that the command has printed; on a port that is free."""
    command = f"{command.replace('python', sys.executable, 1)} --port 0"
    # Nothing that a test starts is shown to the internet: what would ask there meets a proxy that is not.
    environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    environment |= {"PATH": "/usr/bin:/bin", "HOME": str(folder), "no_proxy": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        **{"cwd": folder, "env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT},
    )
    said, begun, found = [], threading.Event(), []

    def listen():
        for line in process.stdout:
            said.append(line)
            if match := BEGUN.match(line):
                found.append(f"http://127.0.0.1:{match[1].rpartition(':')[2]}")
                begun.set()
        begun.set()

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert begun.wait(PATIENCE) and found, "".join(said)
        yield found[0], said
    finally:
        process.terminate()
        try:
            assert process.wait(30) == 143, "".join(said)  # ended by SIGTERM, as `timeout` and systemd do
        finally:
            process.kill()
            listener.join()


def ask(url, method="GET", path="/", password=None, **options):
    auth = None if password is None else ("anybody", password)
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url + path, auth=auth, headers=SAME, timeout=60, **options)


def masked(url, password=None):
    """Gives the page a photo; its answer."""
    answer = ask(url, "POST", "/photos?name=walk.png", password, data=photo(BOX))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_there_are_four_pages_and_a_password():
    first, secret, *others = commands()
    assert "--" not in first.replace("--config-file", "", 1)
    assert "umask" in secret and len(others) == 3


def test_the_page_is_this_computers(clone):
    with typed(commands()[0], clone) as (url, said):
        assert url.startswith("http://127.0.0.1:")
        assert ask(url).status_code == 200
        assert (masked(url)["width"], masked(url)["height"]) == (80, 40)
        assert "anybody" not in "".join(said)


def test_phones_need_the_password(clone):
    (command,) = (line for line in commands() if "--host" in line)
    file = clone / "password.txt"
    assert file.stat().st_mode & 0o077 == 0
    password = find_secret(file, "", "")
    with typed(command, clone) as (url, said):
        (told,) = filter(BEGUN.match, said)
        assert not told.startswith("http://127.") and "anybody" not in "".join(said)
        assert ask(url).status_code == ask(url, password="wrong").status_code == 401
        assert ask(url, password=password).status_code == 200
        assert masked(url, password)["name"] == "walk.png"


def test_a_shared_page_stays_where_there_is_no_internet(clone):
    (command,) = (line for line in commands() if "--share" in line)
    with typed(command, clone) as (url, said):
        assert ask(url).status_code == 401 and ask(url, password="open-sesame").status_code == 200
        assert any("no public address could be had" in line for line in waited(said, "no public address"))


def waited(said, part):
    """The lines, once one has a part, or after some seconds."""
    for _ in range(200):
        if any(part in line for line in said):
            break
        threading.Event().wait(0.1)
    return said


def test_photos_go_to_label_studio(clone, label_studio):
    (command,) = (line for line in commands() if "--project" in line)
    label_studio.interface = CARS
    own = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": TOKEN}
    with typed(command, clone, **own) as (url, _):
        token = masked(url, "open-sesame")["token"]
        sent = ask(url, "POST", f"/results/{token}/label-studio?threshold=0.05", "open-sesame")
        assert sent.status_code == 200 and sent.json()["said"].startswith("Sent to Label Studio, with")
        assert sent.json()["link"] == f"{label_studio.url}/projects/1/data?task=1"
        assert len(label_studio.tasks) == len(label_studio.predictions) == 1


def test_its_limits_are_the_commands_own():
    from campus_seg.tools.web_demo import get_parser
    from campus_seg.web.results import KEEP

    args = get_parser().parse_args(["--config-file", "a.yaml"])
    text = section()
    assert f"{args.waiting} more may wait" in text and KEEP == 30 * 60
    assert f"at most {args.max_mb:g} MB and {args.max_megapixels:g} megapixels" in text
    assert f":{args.port}`" in text and args.host == "127.0.0.1" and not args.share
