"""What was once found out about photos, kept for the next time."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from campus_seg.atomic_writes import cache_folder

MAX_ROWS = 2_000_000  # some 400 MB
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS photos (place BLOB, kind TEXT, stamp TEXT, value TEXT, PRIMARY KEY (place, kind)) "
    "WITHOUT ROWID"
)


class PhotoCache:
    """A SQLite file that several processes may use at once. Where it cannot be used, everything is found out anew.

    A value is known by the photo's place and the kind of value. It is valid for one stamp of the photo, which differs
    when the photo may have changed; an empty stamp says that this cannot be told.
    """

    def __init__(self, file: Path | None = None):
        self._file = file

    def get(self, kind: str, stamps: Mapping[str, str]) -> dict[str, str]:
        """What is known of photos: place -> value, of those whose stamp (place -> stamp) is still the same."""
        found: dict[str, str] = {}

        def work(database: sqlite3.Connection) -> None:
            query = "SELECT value FROM photos WHERE place = ? AND kind = ? AND stamp = ?"
            for place, stamp in stamps.items():
                row = database.execute(query, (os.fsencode(place), kind, stamp)).fetchone() if stamp else None
                if row:
                    found[place] = row[0]

        self._transaction(work)
        return found

    def put(self, kind: str, rows: Iterable[tuple[str, str, str]]) -> None:
        """Keeps (place, stamp, value) of photos; everything older is given up where it has grown too large."""
        kept = [(os.fsencode(place), kind, stamp, value) for place, stamp, value in rows if stamp]

        def work(database: sqlite3.Connection) -> None:
            if database.execute("SELECT COUNT(*) FROM photos").fetchone()[0] + len(kept) > MAX_ROWS:
                database.execute("DELETE FROM photos")
            database.executemany("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?)", kept[:MAX_ROWS])

        if kept:
            self._transaction(work)

    def _transaction(self, work: Callable[[sqlite3.Connection], None]) -> None:
        with suppress(OSError, sqlite3.OperationalError):  # no home, no permission, a full disk, locked for long
            file = self._file or cache_folder() / "photos-1.sqlite"
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with closing(sqlite3.connect(file, timeout=10)) as database, database:
                    database.execute(SCHEMA)
                    work(database)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # damaged
                file.unlink()
