"""Days that a migration copies together: groups with few rows, each day in one of them."""

from datetime import timedelta

import pytest

from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine import migration
from deribit_pipeline.engine.migration import pieces
from deribit_pipeline_tests.helpers.written_warehouse import FIRST


def test_pieces_hold_each_day_once_in_order_and_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "_MOST_ROWS", 100)
    monkeypatch.setattr(migration, "_MOST_SPANS", 3)
    days = [
        ((name, series, FIRST + timedelta(days=number)), rows)
        for name in ("candles_1m", "trades")
        for series in ("A", "B", "C", "D")
        for number, rows in ((0, 40), (1, 60), (2, 1), (4, 500), (5, 0), (9, 3), (11, 3))
    ]
    found = list(pieces(days))
    assert [
        (piece.dataset.name, span.series, day)
        for piece in found
        for span in piece.spans
        for day in days_between(span.first, span.last)
    ] == [key for key, _ in days]
    assert sum(piece.days for piece in found) == len(days)
    assert all(piece.rows <= 100 or piece.days <= 2 for piece in found)
    assert max(len(piece.spans) for piece in found) == 3
