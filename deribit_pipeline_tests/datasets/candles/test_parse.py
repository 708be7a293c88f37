"""Recorded responses are parsed to the last digit; malformed ones are errors."""

import copy
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.candles import wire as parse
from deribit_pipeline.domain.candles import CANDLE_VALUES
from deribit_pipeline.exchange import responses, shapes
from deribit_pipeline_tests.conftest import recorded


def test_the_recorded_chart_is_read_to_the_last_digit() -> None:
    chart = recorded("tradingview_chart")
    candles = parse.candles(chart)
    assert candles.opened_at.astype("int64").tolist() == chart["ticks"]
    for column, name in enumerate(("open", "high", "low", "close", "volume", "cost")):
        assert candles.values[:, column].tolist() == chart[name]
    assert CANDLE_VALUES[4:] == ("volume_base", "volume_quote")


def test_the_recorded_instrument_is_read() -> None:
    instrument = responses.instrument(recorded("instrument"))
    assert instrument.instrument_name == "BTC-PERPETUAL"
    assert instrument.kind == "future"
    assert instrument.listed_at == datetime(2018, 8, 14, 10, 24, 47, tzinfo=UTC)
    assert instrument.expires_at is None


def test_the_recorded_status_and_time_are_read() -> None:
    assert responses.locked(recorded("status")) is None
    assert shapes.milliseconds("time", recorded("server_time")) == 1_789_939_041_264


@pytest.mark.parametrize(
    ("locked", "output"), [("true", "true"), ("partial", "partial"), (True, "true")]
)
def test_a_locked_platform_is_reported(locked: object, output: str) -> None:
    assert responses.locked({"locked": locked}) == output


@pytest.mark.parametrize(
    "chart", [{"status": "no_data"}, {"status": "no_data", "ticks": [], "open": []}]
)
def test_no_data_is_no_candles(chart: dict[str, Any]) -> None:
    assert len(parse.candles(chart)) == 0


def test_a_number_may_be_an_integer_or_in_scientific_notation() -> None:
    chart: dict[str, Any] = {name: [2.2e3] for name in parse.CHART_ARRAYS}
    chart |= {"status": "ok", "ticks": [1.7040672e12], "cost": [2_200]}
    assert parse.candles(chart).values.tolist() == [[2_200.0] * 6]


def broken(**change: Any) -> dict[str, Any]:
    return copy.deepcopy(recorded("tradingview_chart")) | change


@pytest.mark.parametrize(
    ("chart", "sentence"),
    [
        (None, "must be an object, was NoneType"),
        ([], "must be an object, was list"),
        ({}, "`status` must be ok or no_data, was None"),
        (broken(status="error"), "`status` must be ok or no_data, was 'error'"),
        (broken(status="no_data"), "no_data, but there were candles"),
        ({"status": "no_data", "ticks": 0}, "no_data, but there were candles"),
        (broken(close=[1.0]), "the arrays differ in length: .*'close': 1"),
        (broken(volume=None), "`volume` must be an array of numbers"),
        (broken(volume=[None] * 8), "`volume` must be an array of numbers"),
        (broken(volume=["1"] * 8), "`volume` must be an array of numbers"),
        (broken(volume=[True] * 8), "`volume` must be an array of numbers"),
        (broken(high=[float("inf")] * 8), "`high` must be finite"),
        (broken(high=[10**400] * 8), "`high` must be finite"),
        (broken(ticks=[0.5] * 8), "`ticks` must be UTC milliseconds"),
        (broken(ticks=[-1] * 8), "`ticks` must be UTC milliseconds"),
        (broken(ticks=[1e18] * 8), "`ticks` must be UTC milliseconds"),
    ],
)
def test_a_malformed_chart_is_an_error(chart: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse.candles(chart)


@pytest.mark.parametrize(
    "change",
    [
        {"creation_timestamp": None},
        {"creation_timestamp": -5},
        {"creation_timestamp": True},
        {"expiration_timestamp": "soon"},
        {"expiration_timestamp": float("nan")},
        {"instrument_name": ""},
        {"kind": 7},
    ],
)
def test_a_malformed_instrument_is_an_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(change))}` must be"):
        responses.instrument(recorded("instrument") | change)


def test_an_instrument_that_expires_before_it_is_created_is_an_error() -> None:
    with pytest.raises(ValueError, match="must expire after it is created"):
        responses.instrument(recorded("instrument") | {"expiration_timestamp": 1_534_242_286_999})


def test_a_negative_zero_is_zero() -> None:
    # It equals 0.0, and would all the same change the hash of a day.
    values = parse.candles(broken(volume=[-0.0] * 8)).values
    assert not np.signbit(values).any()


def test_a_grant_is_read() -> None:
    token = responses.grant({"access_token": "abc", "expires_in": 900, "scope": "account:read"})
    assert (token.access_token, token.expires_in) == ("abc", 900.0)


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "s3cret\n"},
        {"access_token": "s3crét"},
        {"expires_in": "s3cret"},
        {"expires_in": True},
        {"expires_in": 0},
        {"expires_in": float("inf")},
    ],
)
def test_a_malformed_grant_is_an_error_that_does_not_show_it(change: dict[str, object]) -> None:
    # As a header such a token would be refused, or not even encoded, where its text is shown.
    with pytest.raises(ValueError, match=f"`{next(iter(change))}` must be") as caught:
        responses.grant({"access_token": "s3cret", "expires_in": 900} | change)
    assert "s3cr" not in str(caught.value)
