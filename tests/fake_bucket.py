"""A bucket in memory that fsspec takes for S3, with faults by a list, for tests that want no server.

What a real server does is tested with one; see tests/storage_servers.py.
"""

import hashlib
import importlib
import os
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from fsspec import AbstractFileSystem

from campus_seg import storage, storage_cache


class FakeBucket(AbstractFileSystem):
    """Objects by key, for all instances.

    Attributes:
        faults: for the calls to come, in their order: None for none, an exception to raise, or a function that makes
            of an object's bytes those that are sent.
    """

    protocol = "s3"
    cachable = False
    objects: dict[str, bytes] = {}
    calls: Counter = Counter()
    faults: list = []
    counting = threading.Lock()

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix("s3://").rstrip("/")

    def _call(self, name):
        with FakeBucket.counting:
            FakeBucket.calls[name] += 1
            fault = FakeBucket.faults.pop(0) if FakeBucket.faults else None
        if isinstance(fault, Exception):
            raise fault
        return fault

    def info(self, path, **kwargs):
        self._call("info")
        path = self._strip_protocol(path)
        if path in self.objects:
            return self._entry(path)
        if any(key.startswith(f"{path}/") for key in self.objects):
            return {"name": path, "type": "directory", "size": 0}
        raise FileNotFoundError(path)

    def _entry(self, key):
        content = self.objects[key]
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        return {"name": key, "type": "file", "size": len(content), "ETag": etag}

    def find(self, path, detail=False, **kwargs):
        self._call("find")
        path = self._strip_protocol(path)
        return {key: self._entry(key) for key in self.objects if key.startswith(f"{path}/")}

    def ls(self, path, detail=True, **kwargs):
        names = {f"{path}/{key[len(path) + 1 :].partition('/')[0]}" for key in self.find(path)}
        return sorted(names)

    def get_file(self, rpath, lpath, **kwargs):
        fault = self._call("get")
        content = self.objects[rpath]
        Path(lpath).write_bytes(fault(content) if fault else content)

    def put_file(self, lpath, rpath, mode="overwrite", **kwargs):
        self._call("put")
        if mode == "create" and rpath in self.objects:
            raise FileExistsError(rpath)
        self.objects[rpath] = Path(lpath).read_bytes()

    def rm_file(self, path):
        self._call("rm")
        if self.objects.pop(path, None) is None:
            raise FileNotFoundError(path)


@contextmanager
def installed(monkeypatch, cache):
    """An empty bucket behind s3://, no wait between two attempts, and a cache of its own."""
    monkeypatch.setitem(storage.LIBRARIES, "s3", ("fsspec", "s3"))
    monkeypatch.setitem(storage.SETTINGS, "fsspec", storage.AWS)
    monkeypatch.setattr(storage, "FIRST_WAIT", 0.0)
    # The module, whose name in the package is that of the mapping in it.
    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, "s3", FakeBucket)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv(storage_cache.BEGAN_KEY, raising=False)
    new_command()
    FakeBucket.objects, FakeBucket.calls, FakeBucket.faults = {}, Counter(), []
    yield FakeBucket
    new_command()


def new_command():
    """What is known of files is asked for again, as by a command to come."""
    os.environ.pop(storage_cache.BEGAN_KEY, None)
    storage_cache.cache.cache_clear()
    for _, lock in storage_cache._held.values():
        lock.close()
    storage_cache._held.clear()
