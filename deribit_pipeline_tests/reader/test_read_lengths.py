"""Candles of any length, dated by either end, and until the last one that is closed."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from deribit_pipeline import read
from deribit_pipeline.errors import IncompleteDays, InputError
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.demo_rows import NAMES
from deribit_pipeline_tests.reader.conftest import Plant

BTC = NAMES[0]
FIRST, LAST = "2024-01-01", "2024-01-14"
NOW = datetime(2024, 1, 14, 12, 7, tzinfo=UTC)

AGGREGATED = {
    "open": "first", "high": "max", "low": "min", "close": "last", "volume_base": "sum",
    "volume_quote": "sum",
}  # fmt: skip


@pytest.fixture
def running(change: Plant) -> Plant:
    """The last day is not over: it is stored until 12:07."""
    change(
        f"delete from candles where opened_at >= '{NOW}'",
        f"delete from candle_days where day = '{LAST}'",
        f"insert into candle_days by name select * replace ('open' as state, 727 as received, "
        f"day + 1 as day) from candle_days where day = date '{LAST}' - 1",
    )
    return change


@pytest.mark.usefixtures("fortnight")
@pytest.mark.parametrize(
    ("spellings", "rule", "offset"),
    [
        (["4h", "4H", "240", 240, timedelta(hours=4), "240m", " 4 h "], "4h", "0h"),
        (["8h", 480], "8h", "0h"),
        (["45m", "45min", 45], "45min", "0h"),
        (["1h", "60", 60, "60m"], "1h", "0h"),
        (["1d", "1D", 1440, "24h", timedelta(days=1)], "24h", "8h"),
    ],
)
def test_a_length_is_made_of_its_minutes_however_it_is_spelled(
    spellings: list[str | int | timedelta], rule: str, offset: str
) -> None:
    minutes = read.candles(BTC, FIRST, LAST)
    expected = minutes.resample(rule, origin="epoch", offset=offset).agg(AGGREGATED)
    found = [read.candles(BTC, FIRST, "2024-01-13", each) for each in spellings]
    for each in found:
        whole = expected.loc[each.index[0] : each.index[-1]]
        pd.testing.assert_frame_equal(each, whole, check_freq=False)
        assert len(each) == len(found[0]) > 12


def test_a_week_is_seven_days_of_the_exchange_from_monday(change: Plant) -> None:
    week = read.candles(BTC, FIRST, "2024-01-07", "1w")
    days = read.candles(BTC, FIRST, "2024-01-07", "1d")
    assert list(week.index) == [datetime(2024, 1, 1, 8, tzinfo=UTC)]
    assert (week["open"].iloc[0], week["close"].iloc[0]) == (
        days["open"].iloc[0],
        days["close"].iloc[-1],
    )
    assert week["high"].iloc[0] == days["high"].max()
    assert week["volume_base"].iloc[0] == 7 * 1_440
    with pytest.raises(IncompleteDays, match=r"2024-01-15 \(never requested, and needed for the"):
        read.candles(BTC, FIRST, LAST, "1w")
    with pytest.raises(InputError, match="No candle opens in .* opens at 2024-01-08 08:00"):
        read.candles(BTC, "2024-01-02", "2024-01-03", "1w")
    change("update candle_days set state = 'gapped', missing = 1 where day = '2024-01-03'")
    assert read.candles(BTC, FIRST, "2024-01-07", "1w", complete_only=False).shape == (1, 6)


def test_a_length_is_made_of_the_coarsest_complete_candles(change: Plant) -> None:
    change(
        "insert into candles select instrument_name, '120', opened_at, 1, 1, 1, 1, 1, 1 "
        "from candles where epoch_ms(opened_at) % 7200000 = 0",
        "insert into candle_days by name select * replace ('120' as resolution) from candle_days "
        "where day < '2024-01-10'",
    )
    assert read.candles(BTC, FIRST, "2024-01-09", "4h")["close"].unique().tolist() == [1]
    assert read.candles(BTC, FIRST, "2024-01-09", "8h")["volume_base"].unique().tolist() == [4]
    mixed = read.candles(BTC, FIRST, LAST, "4h")  # of minutes on later days
    assert mixed["volume_base"].unique().tolist() == [2, 240]


@pytest.mark.usefixtures("fortnight")
def test_the_label_dates_candles_by_either_end_and_changes_nothing_else() -> None:
    for resolution in ("1", "1h", "4h", "1d"):
        opened = read.candles(BTC, FIRST, "2024-01-07", resolution)
        closed = read.candles(BTC, FIRST, "2024-01-07", resolution, label="close")
        length = opened.index[1] - opened.index[0]
        assert closed.index.name == "closed_at"
        assert (closed.index == opened.index + length).all()
        assert (closed.to_numpy() == opened.to_numpy()).all()
    polars = read.volatility_index("BTC", FIRST, FIRST, label="close", frame="polars")
    assert polars["closed_at"][0] == datetime(2024, 1, 1, 1, tzinfo=UTC)
    assert read.historical_prices(BTC, 1, label="close").index[-1] == datetime(
        2024, 1, 15, tzinfo=UTC
    )


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("resolution", "last"),
    [
        ("1", "2024-01-14 12:06"),
        ("5m", "2024-01-14 12:00"),
        ("1h", "2024-01-14 11:00"),
        ("4h", "2024-01-14 08:00"),
        ("1d", "2024-01-13 08:00"),
        ("1w", "2024-01-01 08:00"),
    ],
)
def test_without_an_end_the_last_closed_candle_is_the_last(resolution: str, last: str) -> None:
    found = read.candles(BTC, FIRST, resolution=resolution)
    assert found.index[-1] == pd.Timestamp(last, tz="UTC")
    length = pd.Timedelta(weeks=1) if resolution == "1w" else found.index[1] - found.index[0]
    assert found.attrs["proved_until"] == str(found.index[-1] + length)
    assert found.attrs["incomplete"] == []


def test_an_end_within_the_running_day_is_complete_if_its_candles_are(running: Plant) -> None:
    assert len(read.candles(BTC, LAST, "2024-01-14T12:07")) == 727
    assert len(read.candles(BTC, LAST, "2024-01-14T12:00", "1h")) == 12
    for end, resolution in (("2024-01-14T12:08", "1"), ("2024-01-14T12:01", "1h"), (LAST, "1")):
        with pytest.raises(IncompleteDays, match=r"2024-01-14 \(open\)"):
            read.candles(BTC, LAST, end, resolution)
    running(f"update candle_days set missing = 1 where day = '{LAST}'")
    with pytest.raises(IncompleteDays, match=r"2024-01-14 \(open, 1 missing\)"):
        read.candles(BTC, FIRST)


def test_a_gap_before_the_last_closed_candle_is_an_error_also_without_an_end(
    running: Plant,
) -> None:
    running("delete from candle_days where day = '2024-01-05'")
    for resolution in ("1", "4h", "1w"):
        with pytest.raises(IncompleteDays) as error:
            read.candles(BTC, FIRST, resolution=resolution)
        assert min(error.value.days) in (date(2024, 1, 4), date(2024, 1, 5))


def test_where_nothing_is_stored_no_end_is_an_error(running: Plant) -> None:
    with pytest.raises(IncompleteDays, match=r"2024-01-15 \(never requested\)"):
        read.candles(BTC, "2024-01-15")
    running("delete from candle_days", "delete from candles")
    for resolution in ("1", "1h", "4h"):
        with pytest.raises(IncompleteDays, match=r"2024-01-01 \(never requested\)"):
            read.candles(BTC, FIRST, resolution=resolution)


def test_rows_of_any_dataset_end_with_the_newest_stored_one(change: Plant) -> None:
    change(
        f"delete from funding_rates where funded_at > '{NOW}'",
        f"update dataset_days set state = 'open', received = 13 "
        f"where day = '{LAST}' and dataset = 'funding_rates'",
    )
    found = read.funding(BTC, FIRST)
    assert found.index[-1] == pd.Timestamp("2024-01-14 12:00", tz="UTC")
    assert found.attrs["proved_until"] == "2024-01-14 12:00:00+00:00"
    assert len(read.funding(BTC, LAST, "2024-01-14T12:00")) == 12
    with pytest.raises(IncompleteDays, match=r"2024-01-14 \(open\)"):
        read.funding(BTC, FIRST, LAST)
    assert read.settlements("BTC", FIRST).shape[0] == 28


@pytest.mark.usefixtures("fortnight")
@pytest.mark.parametrize("end", ["2024-01-07", "2024-01-08T00:00", "2024-01-07T12:00"])
@pytest.mark.parametrize(("sampling", "samples"), [(60, 24), (60, 155), (1, 1440), (45, 7)])
def test_a_cone_has_each_window_that_lies_within_the_span_also_the_last(
    sampling: int, samples: int, end: str
) -> None:
    found = read.volatility_cone(BTC, FIRST, end, samples, sampling)
    minutes = 6 * 1_440 + 720 if "T12" in end else 7 * 1_440
    assert set(found["windows"]) == {minutes // sampling - samples}
    ends = pd.Timestamp(FIRST, tz="UTC") + timedelta(minutes=minutes // sampling * sampling)
    assert set(found["latest_ended_at"]) == {ends}
    assert read.volatility_cone(BTC, FIRST, end, 7 * 1_440 // sampling, sampling).empty


def test_the_cone_of_all_that_is_stored_is_that_of_the_macro(fortnight: Warehouse) -> None:
    lengths = [24, 168]
    with fortnight.reading() as connection:
        query = f"select samples, estimator, windows from volatility_cone('{BTC}', 60, $lengths)"
        expected = connection.execute(query, {"lengths": lengths}).fetchall()
    for end in (LAST, None):
        found = read.volatility_cone(BTC, FIRST, end, lengths)
        assert [(*key, count) for key, count in found["windows"].items()] == expected
