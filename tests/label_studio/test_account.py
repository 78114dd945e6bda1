"""Addresses and tokens as people give them."""

import argparse

import pytest

from campus_seg.errors import ConfigError
from campus_seg.label_studio.account import add_server_arguments, find_password, find_token, server_address


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "CAMPUS_BACKEND_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("url", ["http://h:8080", "https://labels.example.org/studio", "http://[::1]:80"])
def test_an_address(url):
    assert server_address(url) == server_address(f" {url}/ ") == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "no server: give its address with --url"),
        ("labels.example.org", "no address of a server"),
        ("ftp://h", "no address of a server"),
        ("http://", "no address of a server"),
        ("http://h:port", "no address of a server"),
        ("http://[h", "no address of a server"),
        ("http://h/?project=1", "no address of a server"),
        ("http://me:secret@h", "holds a user or password"),
    ],
)
def test_what_is_no_address(url, reason):
    with pytest.raises(ConfigError, match=reason) as raised:
        server_address(url)
    assert "secret" not in str(raised.value)


def test_the_environment_is_asked_where_nothing_is_given(monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://h/")
    assert server_address(None) == "http://h" and server_address("http://other") == "http://other"


@pytest.mark.parametrize(
    ("find", "variable", "argument"),
    [
        (find_token, "LABEL_STUDIO_API_KEY", "--token-file"),
        (find_password, "CAMPUS_BACKEND_PASSWORD", "--password-file"),
    ],
)
def test_secrets(find, variable, argument, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=f"{variable}.*{argument}"):
        find(None)
    monkeypatch.setenv(variable, " abc\n")
    assert find(None) == "abc"
    file = tmp_path / "secret"
    file.write_text("def\n")
    assert find(file) == "def"  # it was given with the command
    wrong = "has a space, a second line or a letter beyond ASCII"
    for content, reason in (
        (b"\n", "is empty"),
        (b"two words", wrong),
        (b"two\nlines", wrong),
        (b"s\xc3\xbcss", wrong),
        (b"\xff\xfe", "it is no text"),
    ):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=f"^{file}: .*{reason}") as raised:
            find(file)
        assert "two" not in str(raised.value)
    with pytest.raises(ConfigError, match="absent: cannot be read"):
        find(tmp_path / "absent")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("abc", "invalid seconds value: 'abc'"),
        ("0", "0 is not above 0 and at most a day's 86400"),
        ("nan", "nan is not above 0"),
        ("1e9", "1e9 is not above 0"),
    ],
)
def test_a_wait_that_is_none(given, reason, capsys):
    parser = argparse.ArgumentParser()
    add_server_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--project", "1", "--timeout", given])
    assert reason in capsys.readouterr().err
