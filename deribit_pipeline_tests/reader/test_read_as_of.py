"""Candles as of a moment are made of what was stored by then, whatever was stored since."""

import pandas as pd
import pytest

from deribit_pipeline import read
from deribit_pipeline.errors import IncompleteDays
from deribit_pipeline_tests.helpers.demo_rows import NAMES
from deribit_pipeline_tests.reader.conftest import Plant

BTC = NAMES[0]
FIRST, LAST = "2024-01-01", "2024-01-13"
AS_OF = "2024-02-02"  # the minutes were stored a day before


def stored(resolution: str, minutes: int, days: str, arrived_at: str) -> list[str]:
    """Statements that store candles, all prices 1, of the minutes' days that satisfy `days`."""
    opens = 8 * 60 if resolution == "1D" else 0
    return [
        f"insert into candles select instrument_name, '{resolution}', opened_at, 1, 1, 1, 1, 1, 1 "
        f"from candles where resolution = '1' and epoch(opened_at) % {minutes * 60} = {opens * 60} "
        f"and cast(opened_at as date) in (select day from candle_days where {days})",
        f"insert into candle_days by name select * replace ('{resolution}' as resolution) "
        f"from candle_days where resolution = '1' and {days}",
        f"insert into candle_arrivals by name select * replace ('{resolution}' as resolution, "
        f"timestamptz '{arrived_at} 00:00:00+00' as arrived_at, "
        f"day + interval {opens} minute as first_opened_at, "
        f"day + interval {opens + 1440 - minutes} minute as last_opened_at) "
        f"from candle_arrivals where resolution = '1' and {days}",
    ]


@pytest.mark.parametrize("days", ["day = '2024-01-03'", "day = '2024-01-13'", "true"])
@pytest.mark.parametrize(
    ("resolution", "minutes", "length"),
    [
        ("60", 60, "1h"),
        ("60", 60, "4h"),
        ("120", 120, "8h"),
        ("1D", 1440, "1d"),
        ("1D", 1440, "1w"),
    ],
)
def test_candles_stored_after_the_moment_change_nothing_that_minutes_give(
    change: Plant, resolution: str, minutes: int, length: str, days: str
) -> None:
    last = "2024-01-07" if length == "1w" else LAST
    days = days.replace("13", "05") if length == "1w" else days
    before = read.candles(BTC, FIRST, last, length, as_of=AS_OF)
    change(*stored(resolution, minutes, days, "2024-03-01"))
    pd.testing.assert_frame_equal(read.candles(BTC, FIRST, last, length, as_of=AS_OF), before)
    assert before["low"].min() > 1
    assert read.candles(BTC, FIRST, last, length, as_of="2024-03-02")["low"].min() == 1


def test_candles_stored_before_the_moment_are_read_also_where_no_minutes_were(
    change: Plant,
) -> None:
    change(*stored("60", 60, "true", "2024-01-20"))
    for length in ("1h", "4h"):
        found = read.candles(BTC, FIRST, LAST, length, as_of="2024-01-21")
        assert found["close"].unique().tolist() == [1]


def test_where_neither_were_stored_by_the_moment_the_error_says_since_when_they_are(
    change: Plant,
) -> None:
    change(*stored("60", 60, "day = '2024-01-03'", "2024-03-01"))
    for length in ("1h", "4h", "1d"):
        with pytest.raises(IncompleteDays, match="stored since 2024-0.*name a later as_of"):
            read.candles(BTC, FIRST, LAST, length, as_of="2024-01-25")
    change("delete from candle_days where resolution = '1'")
    with pytest.raises(IncompleteDays, match="2024-01-03 .stored since 2024-03-01"):
        read.candles(BTC, "2024-01-03", "2024-01-03", "1h", as_of=AS_OF)


def test_the_newest_hours_that_were_not_stored_yet_are_made_of_minutes_that_were(
    change: Plant,
) -> None:
    change(
        *stored("60", 60, "day <= '2024-01-13'", "2024-01-14"),
        *stored("60", 60, "day = '2024-01-14'", "2024-03-01"),
        "update candle_arrivals set arrived_at = '2024-01-15 00:10:00+00' where resolution = '1'",
    )
    found = read.candles(BTC, FIRST, "2024-01-14", "1h", as_of="2024-01-15T01:00")
    assert len(found) == 14 * 24
    assert found.attrs["rolled_up"] == ["2024-01-14"]


@pytest.mark.parametrize("length", ["1h", "5m", "1d"])
@pytest.mark.parametrize("are_hours_stored", [True, False])
def test_days_of_which_nothing_was_stored_by_the_moment_are_not_made_of_anything(
    change: Plant, length: str, are_hours_stored: bool
) -> None:
    if are_hours_stored:
        change(*stored("60", 60, "day = '2024-01-03'", "2024-03-01"))
    change(
        "update candle_arrivals set arrived_at = '2024-01-20 00:00:00+00' where day < '2024-01-03'"
    )
    for as_of, days in (
        ("2024-01-18", []),
        ("2024-01-21", ["2024-01-01 to 2024-01-02"]),
    ):
        found = read.candles(BTC, FIRST, LAST, length, as_of=as_of, complete_only=False)
        assert found.empty == (not days)
        assert found.attrs["rolled_up"] == days
        assert found.attrs["proved_until"] is None
