"""What is known of a folder that is a copy of one behind a URI, on this disk, so that a kill does not lose it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from campus_seg.atomic_writes import replacing
from campus_seg.storage_stat import Stat

Stamp = tuple[int, int]  # size and time of change of a file on this disk


class Note(msgspec.Struct):
    """The note of one folder.

    Attributes:
        sent: name -> how the file was here when it was fetched or sent.
        there: name -> the server's stamp of it then, also of files that are not fetched.
        begun: name -> the sizes, from and to, of what was sent of it without an answer: it may be there.
    """

    sent: dict[str, Stamp] = {}
    there: dict[str, str] = {}
    begun: dict[str, tuple[int, int]] = {}

    def begin(self, name: str, size: int) -> None:
        """A file of some size is to be sent."""
        least, most = self.begun.get(name, (size, size))
        self.begun[name] = min(least, size), max(most, size)

    def arrive(self, name: str, stamp: Stamp, there: str) -> None:
        """A file has been sent, and the server's stamp of it is `there`."""
        self.sent[name], self.there[name] = stamp, there
        self.begun.pop(name, None)

    def forget(self, name: str) -> None:
        """A file has been removed behind the URI."""
        for known in (self.sent, self.there, self.begun):
            known.pop(name, None)

    def changed_elsewhere(
        self,
        here: Mapping[str, Stamp],
        there: Mapping[str, Stat],
        is_late: Callable[[str], bool],
        ask: Callable[[str], Stat | None],
    ) -> str:
        """The first file that others have changed behind the URI, of those that count; "" for none.

        They are those that sending would replace or remove, and those that come late: they say that others went on.

        Args:
            here: the files on this disk.
            there: those behind the URI, as a list has them.
            is_late: whether a file comes after others.
            ask: for what is known of a single file behind the URI, since servers' lists may put it in another way.
        """
        for name in sorted({*there, *self.there}):
            if not (name in here or name in self.sent or is_late(name)):
                continue
            if name not in there:
                if name in here and name not in self.begun:
                    return name
            elif there[name].stamp != self.there.get(name) and not self._may_be_ours(name, here, there[name].size):
                asked = ask(name)
                if asked is None or asked.stamp != self.there.get(name):
                    return name
        return ""

    def _may_be_ours(self, name: str, here: Mapping[str, Stamp], size: int | None) -> bool:
        """Whether a file is of a size that it had here while it was sent, of which there was no answer."""
        if name not in self.begun:
            return False
        least, most = self.begun[name]
        now = here[name][0] if name in here else least  # it may have grown on the way
        return size is None or min(least, now) <= size <= max(most, now)


def read_note(path: Path) -> Note:
    """The note in a file; an empty one where there is none."""
    return msgspec.json.decode(path.read_bytes(), type=Note) if path.is_file() else Note()


def write_note(note: Note, path: Path) -> None:
    """Writes a note, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.encode(note))
