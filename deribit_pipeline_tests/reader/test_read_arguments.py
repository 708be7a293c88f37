"""Every invalid argument of the reader raises an error of one sentence, before the file is
opened."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deribit_pipeline import read
from deribit_pipeline.errors import InputError
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.processes import name_warehouse

BTC = "BTC-PERPETUAL"
FIRST, LAST = "2024-04-07", "2024-04-09"  # what `filled` holds complete; the 10th is open


@pytest.fixture(autouse=True)
def environment(sound: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with the intact warehouse."""
    name_warehouse(monkeypatch, sound.location, tmp_path)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("soon", LAST, "start must be a day such as 2024-01-31, .* or an instant .* was 'soon'"),
        (LAST, FIRST, "end 2024-04-07 is not after start 2024-04-09"),
        ("2024-04-09T08:00", "2024-04-09T08:00", "is not after"),
        (None, LAST, "start must be a day .* was None"),
        (FIRST, 20240131, "end must be a day .* was 20240131"),
        (FIRST, pd.NaT, "end must be a day .* was NaT"),
        (FIRST, np.datetime64(LAST), r"end must be a day .* was .*datetime64\('2024-04-09'\)"),
        (FIRST, "9999-12-31", "end 9999-12-31 is in the future: today is"),
        (FIRST, datetime.max, "end 9999-12-31 .* is in the future"),
        (FIRST, datetime.now(UTC) + timedelta(days=3), "is in the future"),
        (FIRST, (datetime.now(UTC) + timedelta(days=3)).date(), "is in the future"),
        (date.min, LAST, "start 0001-01-01 is before 1970"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), LAST, "is before 1970"),
    ],
)
def test_a_window_that_is_none_is_an_error(start: Any, end: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read.candles(BTC, start, end)


def test_days_may_be_counted_from_today() -> None:
    today = datetime.now(UTC).date()
    found = read.condition("candles", BTC, "-2d", "yesterday")
    days = [moment.date() for moment in found.index]
    assert days[1] - days[0] == timedelta(days=1)
    assert today - timedelta(days=1) <= days[1] <= today  # midnight may have passed
    with pytest.raises(InputError, match="end yesterday is not after start today"):
        read.candles(BTC, "today", "yesterday")


def test_tomorrow_is_accepted_whatever_the_clock_says() -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    assert not read.candles(BTC, LAST, tomorrow, complete_only=False).empty
    end = datetime(tomorrow.year, tomorrow.month, tomorrow.day) + timedelta(days=1)
    assert not read.candles(BTC, LAST, end, complete_only=False).empty


DAYS = (FIRST, LAST)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("candles", ([BTC, 7], *DAYS), r"names such as BTC-PERPETUAL, one was 7"),
        ("candles", ([], *DAYS), "instruments names nothing: name one such as BTC-PERPETUAL"),
        ("candles", (BTC, *DAYS, 7), "a length such as 1m, 4h, .* divides a day .*, was 7"),
        ("candles", (BTC, *DAYS, "1M"), "was '1M'"),
        ("candles", (BTC, *DAYS, "2w"), "was '2w'"),
        ("candles", (BTC, *DAYS, None), "was None"),
        ("candles", (BTC, *DAYS, -60), "was -60"),
        ("trades", ("", *DAYS), "instruments names no instrument: write it like"),
        ("trades", ("kind=stock", *DAYS), "kind must be one of future, "),
        ("volatility_index", (None, *DAYS), "currencies must be a name such as BTC, or several"),
        ("settlements", ("currency=BTC", *DAYS), "currencies must be names such as BTC"),
        ("cumulative_funding", (BTC, *DAYS, "10"), "amount must be a number such as .*, was '10'"),
        ("realised_against_dvol", (BTC, *DAYS, 1, 7), "sampling must divide a day .*, was 7"),
        ("realised_against_dvol", ("SOL_USDC-PERPETUAL", *DAYS), "for BTC, ETH, not for SOL"),
        ("volatility_cone", (BTC, *DAYS, []), "windows names no number"),
        ("volatility_cone", (BTC, *DAYS, 0), "windows must be a whole number, 1 or more, was 0"),
        ("volatility_cone", (BTC, *DAYS, "24"), "windows must be a whole number, .*, was '24'"),
        ("volatility_cone", (BTC, *DAYS, None), "windows must be a whole number, .*, was None"),
        ("condition", ("candle", BTC, *DAYS), "dataset must be one of candles_1m"),
        ("sql", (" ",), "query must be a query in SQL, was ' '"),
        ("sql", ("select 1; select 2",), "query must be one query, and has 2 statements"),
        (
            "volatility_index",
            ("SOL", *DAYS),
            "volatility_index is available for BTC, ETH, not for SOL",
        ),
        (
            "funding",
            ("BTC_USDC", *DAYS),
            "available for perpetuals only; BTC_USDC is not a perpetual",
        ),
        ("historical_prices", (None,), "instruments must be a name such as BTC-PERPETUAL, or"),
        ("historical_prices", (BTC, "7"), "days must be a whole number, 1 or more, was '7'"),
        ("historical_prices", (BTC, 1.5), "days must be a whole number, 1 or more, was 1.5"),
        ("historical_prices", (BTC, 0), "days must be a whole number, 1 or more, was 0"),
        ("historical_prices", (BTC, 10**9), "1000000000 days reach back beyond 1970"),
        ("realised_volatility", (BTC, *DAYS, 1.5), "sampling must be a whole .* was 1.5"),
        ("realised_volatility", (BTC, *DAYS, 60, 24.5), "samples must be a whole .* was 24.5"),
        ("realised_volatility", (BTC, *DAYS, 60, 10**9), "samples of 60 minutes reach back"),
        ("realised_volatility", (BTC, *DAYS, 10**30), "reach back beyond 1970"),
    ],
)
def test_an_argument_that_cannot_be_is_one_sentence(
    name: str, arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        getattr(read, name)(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "end"}, "label must be one of open, close, was 'end'"),
        ({"frame": ["pandas"]}, "frame must be one of pandas, arrow, polars"),
        ({"warehouse": 7}, "the path of a file, or ducklake:…, was 7"),
        ({"warehouse": "postgresql://me:geheim@db/lake"}, "a DuckLake whose catalog is in"),
        ({"warehouse": "ducklake:postgres:password=geheim"}, "set DERIBIT_WAREHOUSE_DATA"),
    ],
)
def test_an_option_that_cannot_be_is_one_sentence(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read.candles(BTC, *DAYS, **options)
    assert "geheim" not in str(error.value)


def test_numbers_of_numpy_are_numbers() -> None:
    assert len(read.historical_prices(BTC, np.int64(2))) == 48
