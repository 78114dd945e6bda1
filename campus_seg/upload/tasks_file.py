"""tasks.json: what Label Studio imports to label photos where they are, in their bucket."""

import json
from collections.abc import Iterable

from campus_seg.atomic_writes import check_output_file, write_json
from campus_seg.errors import ConfigError
from campus_seg.storage import is_uri
from campus_seg.storage_objects import check_writable, parent, write_bytes

# What Label Studio's source storages call their schemes; they know no others.
SCHEMES = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "azure-blob", "abfs": "azure-blob"}
KEY = "image"  # of a task's data, which the labelling interface names as $image


def check_tasks(path: str, uri: str) -> None:
    """Makes sure, before any work, that tasks can be written and that Label Studio could use them.

    Args:
        path: of the tasks, or a URI.
        uri: where the photos will be.

    Raises:
        ConfigError: they cannot, or it could not.
        StorageError: they cannot be written behind a URI.
    """
    scheme = uri.partition("://")[0]
    if scheme not in SCHEMES:
        raise ConfigError(
            f"--tasks: Label Studio labels photos in buckets (s3://, gs://, az://), and none behind {scheme}://; "
            "leave it out, and import the photos themselves"
        )
    if not path.lower().endswith(".json"):
        raise ConfigError(f"--tasks {path}: Label Studio imports these as JSON; give a name that ends with .json")
    if is_uri(path):
        check_writable(parent(path))
    else:
        check_output_file(path)


def write_tasks(path: str, places: Iterable[str]) -> int:
    """Writes a task for each photo.

    Args:
        path: of the file, or a URI.
        places: URIs of photos; each once.

    Returns:
        How many there are.
    """
    tasks = [{"data": {KEY: label_studio_address(place)}} for place in dict.fromkeys(places)]
    if is_uri(path):
        write_bytes(json.dumps(tasks, ensure_ascii=False, indent=1).encode(), path)
    else:
        write_json(path, tasks)
    return len(tasks)


def label_studio_address(place: str) -> str:
    """A photo's URI as a source storage of Label Studio has it: unquoted, of an Azure container without its account."""
    scheme, _, rest = place.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{SCHEMES[scheme]}://{bucket.partition('@')[0]}/{key}"
