"""A path or a URI, nobody has to care: which is which, the file system behind a URI, and its errors in plain words.

fsspec's file systems underneath, with time limits and retries. Credentials and endpoints come from where the library of
each kind looks for them (environment, configuration files, instance roles) and from nowhere else.
"""

import contextlib
import functools
import importlib
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from campus_seg.atomic_writes import no_room
from campus_seg.errors import CampusError, ConfigError, StorageError
from campus_seg.storage_errors import is_cut, is_final, is_missing, is_refused, is_servers_fault, is_unreachable, reason

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Result = TypeVar("Result")

SCHEME = re.compile(r"(s3|gs|gcs|az|abfs|sftp|http|https)://", re.IGNORECASE)
# The library behind each, which is also what it is called on PyPI, and the extra of this package that installs it.
LIBRARIES = {
    **dict.fromkeys(("s3",), ("s3fs", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gs")),
    **dict.fromkeys(("az", "abfs"), ("adlfs", "az")),
    **dict.fromkeys(("sftp",), ("sshfs", "sftp")),
    **dict.fromkeys(("http", "https"), ("aiohttp", "http")),
}
AWS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
SETTINGS = {  # what a user sets for each library
    "s3fs": AWS,
    "gcsfs": "GOOGLE_APPLICATION_CREDENTIALS",
    "adlfs": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING",
    "sshfs": "User and IdentityFile in ~/.ssh/config, or the ssh agent",
    "aiohttp": "an address that needs no password",
}
# Parameters of an address that let whoever has them in, as of presigned ones.
SECRETS = re.compile(
    r"(.*[-_])?(signature|sig|token|password|secret|credential|(api|access|secret)?key|auth|authorization|jwt)"
    r"|awsaccesskeyid",
    re.IGNORECASE,
)
QUERY = re.compile(r"[?#]")  # begins what is behind an address's path
TIMEOUT = 20.0  # seconds without a byte
TIMEOUT_KEY = "CAMPUS_STORAGE_TIMEOUT"
ATTEMPTS = 8  # of what fails for a passing reason
IN_A_ROW = 3  # files that a server refuses: that is not the files' fault
ATTEMPTS_TO_REACH = 2  # a server that refuses connections or has no address
ATTEMPTS_WHERE_CUT = 24  # a connection that many files share, each of which may be what it is cut by
PATIENCE = 120.0  # seconds after which nothing is tried once more
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between two attempts
# Attempts at one request of S3's, within one of ours: a long list takes many requests. Twice as many that time out are
# PATIENCE.
REQUESTS = 3
_jitter = random.Random()  # of its own: what a training draws is not to depend on a server's faults
stopping = threading.Event()  # set by a command that is to end: nothing is tried or waited for any more


def is_uri(path: object) -> bool:
    """Whether a text is a URI of this project's kinds; a path is none, nor are Detectron2's own addresses."""
    return isinstance(path, str) and bool(SCHEME.match(path))


def checked_uri(uri: str) -> str:
    """The URI itself, with a lower-case scheme and without a "/" at its end.

    Raises:
        StorageError: it names no bucket or host, or holds a secret, which would be written down with it.
    """
    scheme, _, rest = uri.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if at and (":" in user or LIBRARIES[scheme.lower()][0] not in ("sshfs", "adlfs")):
        raise StorageError(f"{shown(uri)}: a password has no place in a URI, which is written down; {_set(uri)}")
    if not authority:
        raise StorageError(f"{shown(uri)}: names no bucket or host; give {scheme}://NAME/…")
    if _is_signed(uri):
        raise StorageError(
            f"{shown(uri)}: is a signed address, whose secret would be written down with it; give the object's own "
            "address (such as s3://…) and let the environment hold the key"
        )
    return f"{scheme.lower()}://{rest}".rstrip("/")


def shown(uri: str) -> str:
    """A URI as it may be told: without a password and without what a "?" or a "#" begins."""
    scheme, separator, rest = uri.partition("://")
    head, slash, path = rest.partition("/")
    user, at, host = head.rpartition("@")
    user = "" if is_http(uri) else user.partition(":")[0]  # a token, as Git's hosts have them
    told = f"{user}{at if user else ''}{host}{slash}{path}"
    if is_http(uri) or _is_signed(uri):
        told = QUERY.split(told, maxsplit=1)[0]
    return f"{scheme}{separator}{told}"


def is_http(uri: str) -> bool:
    """Whether a URI is a web server's, where names are quoted and nothing can be written."""
    return uri.lower().startswith(("http://", "https://"))


def _is_signed(uri: str) -> bool:
    """Whether a secret stands behind the "?" or "#" of an address; elsewhere that is part of a name."""
    if not (is_http(uri) or uri.lower().startswith(("az://", "abfs://"))):
        return False
    query = "".join(QUERY.split(uri, maxsplit=1)[1:])
    return any(SECRETS.fullmatch(unquote(each.partition("=")[0])) for each in re.split("[?#&;]", query) if "=" in each)


def stays_below(name: str) -> bool:
    """Whether a name, "/" between its parts, leads to something below the folder that it is joined to."""
    return not {"", ".", ".."} & set(name.split("/")) and "\0" not in name


def join(uri: str, name: str) -> str:
    """The URI of what lies below another one by a relative name, "/" between its parts."""
    return f"{uri.rstrip('/')}/{name}" if name else uri


def place(folder: Path, name: str) -> Path | str:
    """Where a file lies that is called by a URI, an absolute path, or a path below a folder."""
    return name if is_uri(name) else folder / name


def base_name(uri: str) -> str:
    """The last part of a URI's path."""
    return uri.rstrip("/").rpartition("/")[2]


def filesystem(uri: str) -> tuple["AbstractFileSystem", str]:
    """The file system that a URI is of, and the path in it; one of a process for all URIs of a server.

    Not to be kept: after a fork it is another one.

    Raises:
        StorageError: the library for it is missing, or the URI cannot be used.
    """
    uri = checked_uri(uri)
    scheme, _, rest = uri.partition("://")
    authority, _, name = rest.partition("/")
    library, extra = LIBRARIES[scheme]
    try:
        importlib.import_module(library)
        import fsspec
    except ImportError:
        raise StorageError(f"{shown(uri)}: {scheme}:// needs {library}: pip install 'campus_seg[{extra}]'") from None
    # By the server alone: fsspec takes "#", "?" and "::" of a name for more than a name.
    server = f"{scheme}://{authority}/"
    with explained(uri):
        kind = fsspec.get_filesystem_class(scheme)
        options = {**_options(library), **kind._get_kwargs_from_urls(server)}
        fs = kind(**options)
        if library == "s3fs":
            fs.retries = REQUESTS
            fs.split_path = functools.partial(_split_path, fs)
        elif library == "sshfs" and fs.client.is_closed():  # a connection once cut does not come back
            kind.clear_instance_cache()
            fs = kind(**options)
    root = fs._strip_protocol(server)
    return fs, f"{root.rstrip('/')}/{name}" if name else root


def _split_path(fs: Any, path: str) -> tuple[str, str, None]:
    """As s3fs, for which "?versionId=" ends a name."""
    bucket, key, _ = type(fs).split_path(fs, path.replace("?", "\0"))
    return bucket, key.replace("\0", "?"), None


def _options(library: str) -> dict[str, Any]:
    """What a library's file system is made with: time limits, and no memory of lists, which others may change."""
    timeout = _timeout()
    if library == "s3fs":
        import s3fs

        # botocore's own attempts would be times s3fs's, and draw from the global generator.
        s3fs.core.set_custom_error_handler(is_servers_fault)
        limits = {"connect_timeout": timeout, "read_timeout": timeout, "retries": {"total_max_attempts": 1}}
        # One part at a time: several at once are put together without a look at their lengths.
        return {
            "config_kwargs": {**limits, "max_pool_connections": 64},
            "use_listings_cache": False,
            "max_concurrency": 1,
        }
    if library in ("aiohttp", "gcsfs"):
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        if library == "gcsfs":
            return {"requests_timeout": limits, "use_listings_cache": False}
        headers = {"Accept-Encoding": "identity"}  # the length of a packed body is not that of the file
        return {"client_kwargs": {"timeout": limits, "headers": headers}, "use_listings_cache": False}
    if library == "adlfs":
        return {"connection_timeout": timeout, "read_timeout": timeout, "use_listings_cache": False}
    if library == "sshfs":
        # (): asyncssh's own way, which is ssh's, with ~/.ssh/known_hosts; sshfs would trust any server.
        return {
            "known_hosts": (),
            "connect_timeout": timeout,
            "login_timeout": timeout,
            "keepalive_interval": timeout / 3,
        }
    return {}


def _timeout() -> float:
    """Seconds without a byte.

    Raises:
        ConfigError: what was given is no such number.
    """
    given = os.environ.get(TIMEOUT_KEY) or TIMEOUT
    with contextlib.suppress(ValueError):
        if 0 < float(given) < float("inf"):
            return float(given)
    raise ConfigError(f"{TIMEOUT_KEY} {given}: is no number of seconds")


def persistent(uri: str, work: Callable[[], Result]) -> Result:
    """Does some work with a URI, once more where it fails for a passing reason, with growing waits.

    Args:
        uri: for the message.
        work: may be done twice without harm.

    Raises:
        StorageError: it failed for good, or `stopping` is set.
    """
    began = time.monotonic()
    attempt = 0
    with explained(uri):
        while True:
            attempt += 1
            if stopping.is_set():
                raise StorageError(f"{shown(uri)}: the command was stopped")
            try:
                return work()
            except Exception as error:
                attempts = ATTEMPTS
                if is_unreachable(error):
                    attempts = ATTEMPTS_TO_REACH
                elif is_cut(error):
                    attempts = ATTEMPTS_WHERE_CUT
                impatient = attempt > 1 and time.monotonic() - began > PATIENCE  # what takes long gets two attempts
                if attempt >= attempts or impatient or is_final(error):
                    raise
                if stopping.wait(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * _jitter.uniform(0.5, 1.0)):
                    raise


@contextlib.contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turns what the libraries raise, in the block, into one line that names the URI and what to set.

    Raises:
        StorageError: instead.
    """
    try:
        yield
    except CampusError:
        raise
    except Exception as error:
        if no_room(error):  # of this machine's disk, which `enough_room` explains
            raise
        library = LIBRARIES[uri.partition("://")[0].lower()][0]
        why = reason(error, library, _settings(uri), _server(library))
        raise StorageError(f"{shown(uri)}: {why}", missing=is_missing(error), refused=is_refused(error)) from None


def _set(uri: str) -> str:
    return f"set {_settings(uri)}"


def _settings(uri: str) -> str:
    return SETTINGS[LIBRARIES[uri.partition("://")[0].lower()][0]]


def _server(library: str) -> str:
    """What to say of the server where it is Amazon's or another one, as the environment has it."""
    if library != "s3fs":
        return ""
    given = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return (
        f" (asked: AWS_ENDPOINT_URL {shown(given)})"
        if given
        else " (for another server than Amazon's set AWS_ENDPOINT_URL)"
    )
