"""Reads of what is recorded and not stored yet."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from deribit_pipeline import read
from deribit_pipeline_tests.helpers.recorded_trades import DAY, NAME

NOON = datetime(2024, 4, 10, 12, tzinfo=UTC)

Backfill = Callable[..., None]
"""Stores days of NAME, trades by default."""


def read_recorded(start: Any = DAY, end: Any = None, names: Any = NAME, **how: Any) -> Any:
    """Proved and recorded trades, those of NAME since DAY by default."""
    return read.trades(names, start, end, recorded=True, complete_only=False, **how)


def proved(frame: Any) -> list[bool]:
    """Which rows are proved."""
    return [bool(each) for each in frame["is_proved"]]
