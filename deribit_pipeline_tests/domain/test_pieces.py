"""Rows in pieces are the same rows: in a temporary file, of which nothing remains."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.domain import pieces
from deribit_pipeline.domain.rows import (
    Columns,
    Pieces,
    count_of,
    joined_rows,
    pieces_of,
    rows_hash,
    some_of,
)
from deribit_pipeline.errors import NoTemporaryFile

TEXTS = ["", "a", None, "zero\0byte", "ü", "buy", "\ud800", "buy"]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pieces, "PIECE", 7)
    return tmp_path


def made(count: int) -> Columns:
    numbers = np.arange(count)
    return {
        "trade_seq": numbers,
        "traded_at": numbers.astype("datetime64[ms]"),
        "on": numbers.astype("datetime64[D]"),
        "price": np.where(numbers % 3 == 0, np.nan, numbers / 3),
        "text": np.array([TEXTS[n % len(TEXTS)] for n in range(count)], object),
    }


def put(rows: Columns, together: int) -> Pieces:
    """The rows, appended some at a time."""
    found = Pieces()
    for first in range(0, max(count_of(rows), 1), together):
        found.append(some_of(rows, slice(first, first + together)))
    return found


def assert_same(one: Any, other: Any) -> None:
    assert list(one) == list(other)
    for name in other:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("together", [1, 3, 7, 8, 100])
@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 14, 15, 50])
def test_rows_that_are_appended_are_read_again(count: int, together: int) -> None:
    rows = made(count)
    found = put(rows, together).rows()
    assert count_of(found) == count
    assert_same(found, rows)
    assert_same(joined_rows(list(pieces_of(found))), rows)
    sizes = [count_of(piece) for piece in pieces_of(found, "price")]
    assert set(sizes[:-1]) <= {7}
    assert sum(sizes) == count


@pytest.mark.parametrize("together", [1, 3, 7, 100])
def test_the_hash_of_rows_does_not_depend_on_pieces(together: int) -> None:
    rows = made(50)
    rows["text"] = np.array([text if text != "\ud800" else "x" for text in rows["text"]], object)
    assert rows_hash(put(rows, together).rows()) == rows_hash(rows)


def test_as_many_rows_as_a_piece_has_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    assert isinstance(put(made(7), 2).rows(), dict)


def test_nothing_is_seen_of_the_temporary_file(temporary: Path) -> None:
    found = put(made(50), 3)
    assert isinstance(found.rows(), Pieces)
    assert list(temporary.iterdir()) == []
    assert found._file is not None
    file = found._file
    del found
    assert file.closed


def test_a_full_disk_says_where_there_is_no_room(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(NoTemporaryFile, match=f"{temporary}.*No space left.*set TMPDIR"):
        put(made(50), 3)
