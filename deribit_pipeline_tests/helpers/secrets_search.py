"""Searches for secrets in everything that a run leaves: streams, files, databases, processes."""

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb


class Search:
    """The places of any of the secrets, plainly or in a common encoding."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._needles = {needle for secret in secrets for needle in _spellings(secret)}

    def is_in(self, seen: str | bytes | None) -> bool:
        data = seen.encode("utf-8", "surrogateescape") if isinstance(seen, str) else seen or b""
        return any(needle in data for needle in self._needles)

    def places(self, folder: Path) -> list[str]:
        """Every file below the folder with a secret, including databases, table by table."""
        return [
            place
            for path in sorted(folder.rglob("*"))
            if path.is_file()
            for place, data in _contents(path)
            if self.is_in(data)
        ]

    def processes(self) -> list[str]:
        """Every running process with a secret in its arguments."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if self.is_in(path.read_bytes()):
                    found.append(str(path))
            except OSError:  # it has ended
                continue
        return found


def _spellings(secret: str) -> Iterator[bytes]:
    plain = secret.encode()
    yield plain
    yield secret.encode("utf-16-le")
    yield plain.hex().encode()
    for spelled in (
        quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1],
    ):  # fmt: skip
        yield spelled.encode()
    for shift in range(3):  # base64 of a longer text that contains it, at any offset
        whole = base64.b64encode(b"\0" * shift + plain)
        yield whole[-(-shift * 8 // 6) + (shift > 0) : len(whole) // 4 * 4 - 4]


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    data = path.read_bytes()
    yield str(path), data
    if data.startswith(b"SQLite format 3\0"):
        yield from _of_sqlite(path)
    elif data[8:12] == b"DUCK":
        yield from _of_duckdb(path)


def _of_sqlite(path: Path) -> Iterator[tuple[str, bytes]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        query = "select name from sqlite_master where type = 'table'"
        for (table,) in connection.execute(query).fetchall():
            for row in connection.execute(f'select * from "{table}"'):
                for value in row:
                    yield f"{path}:{table}", _inflated(value)
    finally:
        connection.close()


def _inflated(value: object) -> bytes:
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


def _of_duckdb(path: Path) -> Iterator[tuple[str, bytes]]:
    # Values are compressed in the file, so that a search of its bytes would find nothing.
    with duckdb.connect(str(path), read_only=True) as connection:
        for (table,) in connection.execute("select table_name from duckdb_tables()").fetchall():
            columns = connection.execute(
                "select column_name from duckdb_columns() where table_name = $table "
                "and data_type = 'VARCHAR'",
                {"table": table},
            ).fetchall()
            for (column,) in columns:
                rows = connection.execute(f'select distinct "{column}" from "{table}"').fetchall()
                yield f"{path}:{table}.{column}", repr(rows).encode()
