"""A path or a URI, nobody has to care: which is which, the file system behind a URI, and its errors in plain words.

fsspec's file systems underneath, with time limits and retries. Credentials and endpoints come from where the library of
each kind looks for them (environment, configuration files, instance roles) and from nowhere else.
"""

import contextlib
import errno
import importlib
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from campus_seg.atomic_writes import no_room
from campus_seg.errors import CampusError, StorageError

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
SECRETS = re.compile(r"(.*[-_])?(signature|sig|token|password|secret|credential|api[-_]?key)", re.IGNORECASE)
TIMEOUT = 20.0  # seconds without a byte
TIMEOUT_KEY = "CAMPUS_STORAGE_TIMEOUT"
ATTEMPTS = 8  # of what fails for a passing reason
ATTEMPTS_TO_REACH = 2  # a server that refuses connections or has no address
PATIENCE = 120.0  # seconds after which nothing is tried once more
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between two attempts
REQUESTS = 5  # attempts at one request, where the library makes them by itself: a long list takes many requests
# What no further attempt changes, besides full disks: by the names of classes, or all of these libraries were imported.
FINAL = (
    FileNotFoundError,
    PermissionError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
)
FINAL_NAMES = {
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "ConfigParseError", "ParamValidationError"),
    *("InvalidRegionError", "NoRegionError", "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),
    *("HostKeyNotVerifiable", "PermissionDenied", "KeyImportError", "DefaultCredentialsError", "InvalidURL"),
}
NO_BUCKET = {"NoSuchBucket", "InvalidBucketName", "ContainerNotFound"}
UNREACHABLE = {"EndpointConnectionError", "ClientConnectorError", "ClientConnectorDNSError", "gaierror"}

_jitter = random.Random()  # of its own: what a training draws is not to depend on a server's faults
stopping = threading.Event()  # set by a command that is to end: nothing is tried or waited for any more


class ShortReadError(OSError):
    """A body that is shorter, longer or another than its server says; trying again helps."""


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
    if at and ":" in user:
        raise StorageError(f"{shown(uri)}: a password has no place in a URI, which is written down; {_set(uri)}")
    if at and scheme.lower() not in ("sftp", "az", "abfs"):  # whose users and containers are no secrets
        without = shown(uri.replace(f"{user}@", "", 1))
        raise StorageError(f"{without}: what stands before the @ has no place in a URI, as a token; {_set(uri)}")
    if not authority:
        raise StorageError(f"{uri}: names no bucket or host; give {scheme}://NAME/…")
    query = urlsplit(uri).query if scheme.lower() in ("http", "https", "az", "abfs") else ""
    if any(SECRETS.fullmatch(name) for name, _ in parse_qsl(query, keep_blank_values=True)):
        raise StorageError(
            f"{shown(uri).partition('?')[0]}: is a signed address, whose secret would be written down with it; give "
            "the object's own address (such as s3://…) and let the environment hold the key"
        )
    return f"{scheme.lower()}://{rest}".rstrip("/")


def shown(uri: str) -> str:
    """A URI as it may be told: without a password and without what a "?" begins."""
    scheme, separator, rest = uri.partition("://")
    head, slash, path = rest.partition("/")
    user, at, host = head.rpartition("@")
    head = f"{user.partition(':')[0]}{at}{host}"
    if scheme.lower().startswith("http"):
        path = path.partition("?")[0]
    return f"{scheme}{separator}{head}{slash}{path}"


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
    scheme = uri.partition("://")[0]
    library, extra = LIBRARIES[scheme]
    try:
        importlib.import_module(library)
        import fsspec
    except ImportError:
        raise StorageError(f"{shown(uri)}: {scheme}:// needs {library}: pip install 'campus_seg[{extra}]'") from None
    with explained(uri):
        return fsspec.core.url_to_fs(uri, **_options(library))


def _options(library: str) -> dict[str, Any]:
    """What a library's file system is made with: time limits, and no memory of lists, which others may change."""
    timeout = float(os.environ.get(TIMEOUT_KEY) or TIMEOUT)
    if library == "s3fs":
        retries = {"total_max_attempts": REQUESTS, "mode": "standard"}
        limits = {"connect_timeout": timeout, "read_timeout": timeout, "retries": retries, "max_pool_connections": 64}
        # One part at a time: several at once are put together without a look at their lengths.
        return {"config_kwargs": limits, "use_listings_cache": False, "max_concurrency": 1}
    if library == "aiohttp":
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        headers = {"Accept-Encoding": "identity"}  # the length of a packed body is not that of the file
        return {"client_kwargs": {"timeout": limits, "headers": headers}, "use_listings_cache": False}
    if library == "sshfs":
        # (): asyncssh's own way, which is ssh's, with ~/.ssh/known_hosts; sshfs would trust any server.
        return {
            "known_hosts": (),
            "connect_timeout": timeout,
            "login_timeout": timeout,
            "keepalive_interval": timeout / 3,
        }
    return {"use_listings_cache": False} if library == "gcsfs" else {}


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
                attempts = ATTEMPTS_TO_REACH if _names(_root(error)) & UNREACHABLE else ATTEMPTS
                if attempt >= attempts or is_final(error) or time.monotonic() - began > PATIENCE:
                    raise
                if stopping.wait(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * _jitter.uniform(0.5, 1.0)):
                    raise


def is_final(error: Exception) -> bool:
    """Whether an error of a library, while it reads or writes, is one that no further attempt changes."""
    error = _root(error)
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:  # aiohttp's
        return status not in (408, 425, 429)
    return bool(
        isinstance(error, (*FINAL, CampusError, TypeError, ImportError))
        or _names(error) & FINAL_NAMES
        or no_room(error)
        or (isinstance(error, OSError) and error.errno in (errno.EINVAL, errno.EACCES, errno.EPERM, errno.EROFS))
    )


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
        missing = isinstance(_root(error), FileNotFoundError) and not codes(error) & NO_BUCKET
        raise StorageError(f"{shown(uri)}: {reason(error, uri)}", missing=missing) from None


def reason(error: Exception, uri: str) -> str:
    """Why a URI cannot be used, and what to do about it, without an address of the library's, which may hold a key."""
    error = _root(error)
    names = set().union(*map(_names, _chain(error)))
    told = codes(error)
    kind = LIBRARIES[uri.partition("://")[0].lower()][0]
    place = "host" if kind in ("sshfs", "aiohttp") else "bucket"
    if told & NO_BUCKET:
        return "there is no such bucket; create it, or correct the name" + _endpoint(kind)
    if names & {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}:
        return f"there are no credentials; {_set(uri)}"
    if (
        told & {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
        or "ProfileNotFound" in names
    ):
        return f"the key is refused ({', '.join(sorted(told)) or 'no such profile'}); {_set(uri)}" + _endpoint(kind)
    if "HostKeyNotVerifiable" in names:
        return "the host's key is not known; connect once with ssh, which writes it to ~/.ssh/known_hosts"
    if isinstance(error, PermissionError) or told & {"401", "403"}:
        return f"access is refused; {_set(uri)}, and let that key read here, and write where results go"
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)) or "404" in told:
        return f"there is no such file or folder; correct the name after the {place}" + _endpoint(kind)
    if names & UNREACHABLE or isinstance(error, ConnectionRefusedError):
        return "the server cannot be reached; see to the network and the name" + _endpoint(kind)
    if isinstance(error, TimeoutError) or any("Timeout" in name for name in names):
        return "the server does not answer; try again later, or give it more seconds with " + TIMEOUT_KEY
    if isinstance(error, ShortReadError):
        return f"{error}, {ATTEMPTS} times; see to the server"
    if isinstance(error, (NotImplementedError, FileExistsError)):
        return "cannot be written to; give a bucket, sftp:// or a folder of this machine"
    text = " ".join(f"{error}".split())
    text = re.sub(r"https?://\S+", "…", text)
    return f"{type(error).__name__}: {text[:200]}; try again later, or check {SETTINGS[kind]}"


def _set(uri: str) -> str:
    return f"set {SETTINGS[LIBRARIES[uri.partition('://')[0].lower()][0]]}"


def _endpoint(kind: str) -> str:
    """What to say of the server where it is Amazon's or another one, as the environment has it."""
    if kind != "s3fs":
        return ""
    given = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return (
        f" (asked: AWS_ENDPOINT_URL {shown(given)})"
        if given
        else " (for another server than Amazon's set AWS_ENDPOINT_URL)"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _root(error: Exception) -> Exception:
    """The error itself; of fsspec's for HTTP, to which every failure is a missing file, what really happened."""
    cause = error.__cause__
    over_http = type(cause).__module__.startswith("aiohttp") or isinstance(cause, TimeoutError)
    if isinstance(error, FileNotFoundError) and over_http and getattr(cause, "status", 0) not in (404, 410):
        return cause
    return error


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def codes(error: BaseException) -> set[str]:
    """What servers call an error, and those in whose handling it arose."""
    found = set()
    for each in _chain(error):
        response = getattr(each, "response", None)
        told = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        found |= {
            str(code) for code in (told, getattr(each, "status", None), getattr(each, "error_code", None)) if code
        }
    return found
