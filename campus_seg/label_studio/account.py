"""Which Label Studio server, and who asks it: from arguments, files and the environment."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from campus_seg.errors import ConfigError

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"  # as Label Studio's own SDK has it
URL_VARIABLE = "LABEL_STUDIO_URL"
LONGEST = 200  # letters of a wrong address in a message


def find_token(token_file: Path | None) -> str:
    """The user's token, from a file or the environment; never from the command line, which others can see.

    Raises:
        ConfigError: there is none, or it cannot be one.
    """
    source = f"the environment's {TOKEN_VARIABLE}" if token_file is None else str(token_file)
    try:
        token = os.environ.get(TOKEN_VARIABLE, "") if token_file is None else token_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"{token_file}: cannot be read ({reason}); give the file with your token") from None
    token = token.strip()
    if not token and token_file is None:
        raise ConfigError(
            f"no token: put yours (Label Studio, Account & Settings, Access Token) into {TOKEN_VARIABLE}, or into a "
            "file and give that with --token-file"
        )
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ConfigError(f"{source}: holds no token; copy it anew from Label Studio, Account & Settings")
    return token


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
