"""What the libraries behind `campus_seg.storage` raise: whether another attempt helps, and plain words for it."""

import errno
import re
from collections.abc import Iterator

from campus_seg.atomic_writes import no_room
from campus_seg.errors import CampusError

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
PASSING = {"IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"}  # of what is sent, which may be cut on its way
NO_BUCKET = {"NoSuchBucket", "InvalidBucketName", "ContainerNotFound"}
REFUSALS = {"401", "403", "451"}
UNREACHABLE = {"EndpointConnectionError", "ClientConnectorError", "ClientConnectorDNSError", "gaierror"}
CUT = {"ConnectionLost", "SFTPConnectionLost", "SFTPNoConnection", "ConnectionResetError", "BrokenPipeError"}
NO_ADDRESS = "Invalid endpoint"  # what botocore says of AWS_ENDPOINT_URL, by a ValueError


class ShortReadError(OSError):
    """A body that is shorter, longer or another than its server says; trying again helps."""


def is_final(error: Exception) -> bool:
    """Whether an error of a library, while it reads or writes, is one that no further attempt changes."""
    error = _root(error)
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:  # aiohttp's
        return status not in (408, 425, 429)
    if codes(error) & PASSING:
        return False
    return bool(
        isinstance(error, (*FINAL, CampusError, TypeError, ImportError))
        or _names(error) & FINAL_NAMES
        or no_room(error)
        or NO_ADDRESS in str(error)
        or (isinstance(error, OSError) and error.errno in (errno.EINVAL, errno.EACCES, errno.EPERM, errno.EROFS))
    )


def is_servers_fault(error: Exception) -> bool:
    """Whether an error of botocore's is an answer 500 or above, or that the server is too busy."""
    response = getattr(error, "response", None)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(response, dict) else 0
    return status == 429 or (status >= 500 and status != 501)


def is_cut(error: Exception) -> bool:
    """Whether a connection ended in the middle of things, which all that share it suffer from."""
    return bool(_names(_root(error)) & CUT)


def is_unreachable(error: Exception) -> bool:
    """Whether a server refuses connections, or has no address."""
    return bool(_names(_root(error)) & UNREACHABLE)


def is_missing(error: Exception) -> bool:
    """Whether there is no such file or folder, in a bucket that is there."""
    return isinstance(_root(error), FileNotFoundError) and not codes(error) & NO_BUCKET


def is_refused(error: Exception) -> bool:
    """Whether a server is there and does not let this key, or anybody, have a file."""
    error = _root(error)
    return isinstance(error, PermissionError) or bool(codes(error) & REFUSALS)


def reason(error: Exception, library: str, settings: str, server: str = "") -> str:
    """Why a URI cannot be used, and what to do about it, without an address of the library's, which may hold a key.

    Args:
        error: of a library.
        library: its name.
        settings: what a user sets for it.
        server: what to say of the server, in brackets.
    """
    error = _root(error)
    names = set().union(*map(_names, _chain(error)))
    told = codes(error)
    place = "host" if library in ("sshfs", "aiohttp") else "bucket"
    if told & NO_BUCKET:
        return f"there is no such bucket; create it, or correct the name{server}"
    if names & {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}:
        return f"there are no credentials; set {settings}"
    if (
        told & {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
        or "ProfileNotFound" in names
    ):
        return f"the key is refused ({', '.join(sorted(told)) or 'no such profile'}); set {settings}{server}"
    if "HostKeyNotVerifiable" in names:
        return "the host's key is not known; connect once with ssh, which writes it to ~/.ssh/known_hosts"
    if is_refused(error):
        return f"access is refused; set {settings}, and let that key read here, and write where results go"
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)) or "404" in told:
        return f"there is no such file or folder; correct the name after the {place}{server}"
    if NO_ADDRESS in str(error):
        return f"the server's address begins with http:// or https://; correct AWS_ENDPOINT_URL{server}"
    if names & UNREACHABLE or isinstance(error, ConnectionRefusedError):
        return f"the server cannot be reached; see to the network and the name{server}"
    if isinstance(error, TimeoutError) or any("Timeout" in name for name in names):
        return "the server does not answer; try again later, or give it more seconds with CAMPUS_STORAGE_TIMEOUT"
    if isinstance(error, ShortReadError):
        return f"{error}, again and again; see to the server"
    if isinstance(error, (NotImplementedError, FileExistsError)):
        return "cannot be written to; give a bucket, sftp:// or a folder of this machine"
    text = " ".join(f"{error}".split())
    text = re.sub(r"https?://\S+", "…", text)
    return f"{type(error).__name__}: {text[:200]}; try again later, or check {settings}"


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
