"""Which Label Studio server, and who asks it: from arguments, files and the environment."""

import argparse
import os
from pathlib import Path
from urllib.parse import urlsplit

from campus_seg.errors import ConfigError
from campus_seg.passwords import find_secret

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"  # as Label Studio's own SDK has it
URL_VARIABLE = "LABEL_STUDIO_URL"
PASSWORD_VARIABLE = "CAMPUS_BACKEND_PASSWORD"
TIMEOUT = 60.0  # seconds without a byte
HURRY = 10.0  # the same where a person waits for the answer
MAX_TIMEOUT = 86_400.0
LONGEST = 200  # letters of a wrong address in a message


def add_server_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Which project on which server, and who asks."""
    add = parser.add_argument
    add("--url", help=f"the address of Label Studio, such as http://HOST:8080; or in {URL_VARIABLE}")
    add("--project", required=required, type=int, metavar="N", help="which of its projects: the number in its address")
    add("--token-file", type=Path, metavar="FILE", help=f"holds your access token; or in {TOKEN_VARIABLE}")
    to_wait = f"to wait for the server's next byte ({TIMEOUT:g}, or {HURRY:g} where people wait)"
    add("--timeout", type=seconds, metavar="SECONDS", help=to_wait)


def seconds(text: str) -> float:
    """A number of seconds that one can wait; argparse's error for others has this function's name."""
    value = float(text)
    if not 0 < value <= MAX_TIMEOUT:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most a day's {MAX_TIMEOUT:.0f}")
    return value


def find_token(token_file: Path | None) -> str:
    """The user's token, from a file or the environment; never from the command line, which others can see.

    Raises:
        ConfigError: there is none, or it cannot be one.
    """
    return find_secret(
        token_file,
        TOKEN_VARIABLE,
        f"no token: put yours (Label Studio, Account & Settings, Personal or Legacy Token) into {TOKEN_VARIABLE}, or "
        "into a file and give that with --token-file",
    )


def find_password(password_file: Path | None) -> str:
    """What a Label Studio has to bring to be given predictions; from a file or the environment.

    Raises:
        ConfigError: there is none, or it cannot be one.
    """
    return find_secret(
        password_file,
        PASSWORD_VARIABLE,
        f"no password: put one that Label Studio is to bring into {PASSWORD_VARIABLE}, or into a file and give that "
        "with --password-file",
    )


def server_address(url: str | None) -> str:
    """An address as given with --url, or in the environment, without a slash at its end.

    Raises:
        ConfigError: none is given, or it is none of a web server.
    """
    url = (url or os.environ.get(URL_VARIABLE, "")).strip()
    if not url:
        raise ConfigError(f"no server: give its address with --url http://HOST:8080, or in {URL_VARIABLE}")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # "[" in a host, or a port that is no number
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigError(f"--url {url[:LONGEST]}: no address of a server; give one such as http://HOST:8080")
    if parts.username or parts.password:
        raise ConfigError("--url: holds a user or password, which others can see; give the address alone and a token")
    return url.rstrip("/")
