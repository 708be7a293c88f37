"""The sandbox behaves as Deribit is known to: the shape of recorded responses, and every trap."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from deribit_pipeline.sandbox.charts import STEPS
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.sandbox.faults import FAULTS, rates_from
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock, recorded

MINUTE = 60_000
DAY = 1_440 * MINUTE
NEW_YEAR = 1_704_067_200_000  # 2024-01-01 00:00 UTC


def chart(
    exchange: SandboxExchange,
    start: int,
    end: int,
    resolution: str = "1",
    name: str = "BTC-PERPETUAL",
) -> dict[str, Any]:
    reply = exchange.answer(
        "public/get_tradingview_chart_data",
        {
            "instrument_name": name,
            "start_timestamp": str(start),
            "end_timestamp": str(end),
            "resolution": resolution,
        },
    )
    assert reply.status == 200, reply.body
    result: dict[str, Any] = reply.body["result"]
    return result


def shape(value: Any) -> Any:
    """Keys and types; of a list, those of its first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def over_http(settings: Settings, method: str, **params: object) -> Any:
    answer = httpx.get(f"{settings.base_url}/{method}", params=params)
    return answer.json()["result"]


def test_answers_have_the_recorded_ones_keys_and_types(settings: Settings, clock: Clock) -> None:
    clock.now = datetime(2024, 1, 10, tzinfo=UTC)
    got = over_http(settings, "public/get_instrument", instrument_name="BTC-PERPETUAL")
    assert shape(got) == shape(recorded("instrument"))
    listed = over_http(settings, "public/get_instruments", currency="BTC", kind="future")
    dated = next(item for item in listed if item["settlement_period"] == "month")
    assert shape(dated) == shape(recorded("instruments_future")[-1])
    got = over_http(
        settings, "public/get_tradingview_chart_data", instrument_name="BTC-PERPETUAL",
        start_timestamp=NEW_YEAR, end_timestamp=NEW_YEAR + 8 * DAY, resolution="1D",
    )  # fmt: skip
    assert shape(got) == shape(recorded("tradingview_chart"))
    assert shape(over_http(settings, "public/status")) == shape(recorded("status"))
    assert shape(over_http(settings, "public/get_time")) == shape(recorded("server_time"))


def test_options_have_the_recorded_ones_keys_and_types(settings: Settings, clock: Clock) -> None:
    clock.now = datetime(2024, 1, 2, tzinfo=UTC)
    options = over_http(settings, "public/get_instruments", currency="BTC", kind="option")
    assert shape(options[0]) == shape(recorded("instruments_option")[-1])
    assert {option["instrument_name"] for option in options} > {"BTC-29MAR24-42000-C"}


def test_www_forgets_what_has_expired_and_the_archive_does_not(
    sandbox: SandboxExchange, clock: Clock
) -> None:
    requested: dict[str, str] = {"instrument_name": "BTC-29MAR24"}
    window = {"start_timestamp": "1711584000000", "end_timestamp": "1711584060000"}
    of_chart = requested | window | {"resolution": "1"}
    for moment, status in ((datetime(2024, 4, 5, 7), 200), (datetime(2024, 4, 5, 8), 400)):
        clock.now = moment.replace(tzinfo=UTC)
        for method, params in (
            ("get_instrument", requested),
            ("get_tradingview_chart_data", of_chart),
        ):
            assert sandbox.answer(f"public/{method}", params).status == status
            assert sandbox.answer(f"public/{method}", params, of_history=True).status == 200


@pytest.mark.parametrize(
    ("error", "method", "params"),
    [
        ("instrument_not_found", "public/get_instrument", {"instrument_name": "NOPE"}),
        ("missing_param", "public/get_instruments", {}),
        ("invalid_currency", "public/get_instruments", {"currency": "XYZ"}),
        ("method_not_found", "public/nothing", {}),
        ("unauthorized_no_token", "private/get_account_summary", {"currency": "BTC"}),
    ],
)
def test_refusals_are_the_recorded_ones(
    settings: Settings, error: str, method: str, params: dict[str, str]
) -> None:
    answer = httpx.get(f"{settings.base_url}/{method}", params=params)
    expected = recorded("errors")[error]
    assert answer.status_code == expected["http"]
    assert answer.json()["error"] == expected["error"]


def test_the_envelope_is_the_recorded_one(settings: Settings) -> None:
    answer = httpx.get(
        f"{settings.base_url}/public/get_instrument", params={"instrument_name": "X"}
    )
    expected = recorded("errors")["wrong_format"]["body"]
    assert shape(answer.json()) == shape(expected)


def test_a_post_is_answered_like_a_get(settings: Settings) -> None:
    body = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "public/get_instrument",
        "params": {"instrument_name": "BTC-PERPETUAL"},
    }
    answer = httpx.post(str(settings.base_url), json=body)
    assert answer.json()["result"]["instrument_name"] == "BTC-PERPETUAL"
    assert answer.json()["id"] == 7
    assert httpx.post(str(settings.base_url), content=b"[").status_code == 400


def test_beyond_5001_the_oldest_are_dropped_without_a_word(sandbox: SandboxExchange) -> None:
    result = chart(sandbox, NEW_YEAR, NEW_YEAR + 10 * DAY)
    assert len(result["ticks"]) == 5_001
    assert result["status"] == "ok"
    assert result["ticks"][-1] == NEW_YEAR + 10 * DAY


def test_both_ends_are_inclusive(sandbox: SandboxExchange) -> None:
    result = chart(sandbox, NEW_YEAR, NEW_YEAR + 5 * MINUTE)
    assert result["ticks"].tolist() == [NEW_YEAR + n * MINUTE for n in range(6)]


def test_an_unaligned_start_is_floored(sandbox: SandboxExchange) -> None:
    assert chart(sandbox, NEW_YEAR + 1, NEW_YEAR + MINUTE)["ticks"][0] == NEW_YEAR


@pytest.mark.parametrize("resolution", STEPS)
def test_candles_are_rolled_up_from_the_minutes(sandbox: SandboxExchange, resolution: str) -> None:
    step = STEPS[resolution]
    start = NEW_YEAR + 8 * 60 * MINUTE
    minutes = chart(sandbox, start, start + DAY - 1)
    coarse = chart(sandbox, start, start + DAY - 1, resolution)
    first = slice(0, 0)
    for n, tick in enumerate(coarse["ticks"]):
        if tick + step > start + DAY:
            continue
        first = slice(*np.searchsorted(minutes["ticks"], [tick, tick + step]))
        if first.stop - first.start < step // MINUTE:
            continue
        assert coarse["open"][n] == minutes["open"][first][0]
        assert coarse["close"][n] == minutes["close"][first][-1]
        assert coarse["high"][n] == minutes["high"][first].max()
        assert coarse["low"][n] == minutes["low"][first].min()
        assert math.isclose(coarse["volume"][n], minutes["volume"][first].sum(), rel_tol=1e-9)
    assert first.stop > 0


def test_a_day_opens_at_eight(sandbox: SandboxExchange) -> None:
    ticks = chart(sandbox, NEW_YEAR, NEW_YEAR + 5 * DAY, "1D")["ticks"]
    assert set(ticks % DAY) == {8 * 60 * MINUTE}


def test_the_running_candle_is_the_last_and_unfinished(
    sandbox: SandboxExchange, clock: Clock
) -> None:
    now = int(clock() * 1000)
    running = chart(sandbox, now - 5 * MINUTE, now + DAY)
    clock.forward(timedelta(minutes=1))
    finished = chart(sandbox, now - 5 * MINUTE, now)
    assert running["ticks"][-1] == finished["ticks"][-1] == now // MINUTE * MINUTE
    assert 0 < running["volume"][-1] < finished["volume"][-1]
    assert running["volume"][:-1].tolist() == finished["volume"][:-1].tolist()


def test_before_listing_there_is_nothing(sandbox: SandboxExchange) -> None:
    listed = 1_534_242_287_000
    assert chart(sandbox, listed - 5 * DAY, listed - DAY)["status"] == "no_data"
    first = chart(sandbox, listed - 5 * DAY, listed + DAY)
    assert first["ticks"][0] == listed // MINUTE * MINUTE
    daily = chart(sandbox, listed - 5 * DAY, listed + DAY, "1D")
    assert daily["ticks"][0] == 1_534_233_600_000  # 08:00 on the day of listing


def test_after_expiry_there_is_nothing(sandbox: SandboxExchange, clock: Clock) -> None:
    clock.now = datetime(2024, 4, 2, tzinfo=UTC)
    expiry = int(datetime(2024, 3, 29, 8, tzinfo=UTC).timestamp() * 1000)
    result = chart(sandbox, expiry - 5 * MINUTE, expiry + DAY, name="BTC-29MAR24")
    assert result["ticks"][-1] == expiry - MINUTE


def test_a_minute_without_a_trade_repeats_the_last_close(sandbox: SandboxExchange) -> None:
    result = chart(sandbox, NEW_YEAR, NEW_YEAR + DAY - 1, name="SOL_USDC-PERPETUAL")
    quiet = np.flatnonzero(result["volume"] == 0)
    assert len(quiet) > 100
    for name in ("open", "high", "low", "close"):
        assert (result[name][quiet] == result["close"][quiet - 1]).all()
    assert (result["cost"][quiet] == 0).all()


@pytest.mark.parametrize("name", ["BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL"])
def test_the_market_looks_like_one(sandbox: SandboxExchange, name: str) -> None:
    result = chart(sandbox, NEW_YEAR, NEW_YEAR + 3 * DAY, name=name)
    assert (result["low"] <= np.minimum(result["open"], result["close"])).all()
    assert (result["high"] >= np.maximum(result["open"], result["close"])).all()
    traded = result["volume"] > 0
    price = result["cost"][traded] / result["volume"][traded]
    assert (price > result["low"][traded] * (1 - 1e-6)).all()
    assert (price < result["high"][traded] * (1 + 1e-6)).all()
    moves = np.abs(np.diff(np.log(result["close"])))
    blocks = moves[: len(moves) // 60 * 60].reshape(-1, 60).mean(axis=1)
    assert np.corrcoef(blocks[:-1], blocks[1:])[0, 1] > 0.3  # volatility clusters


def test_volumes_are_in_the_contracts_units(sandbox: SandboxExchange) -> None:
    inverse = chart(sandbox, NEW_YEAR, NEW_YEAR + DAY)
    assert (inverse["cost"] % 10 == 0).all()  # whole contracts of 10 USD
    linear = chart(sandbox, NEW_YEAR, NEW_YEAR + DAY, name="SOL_USDC-PERPETUAL")
    assert np.allclose(linear["volume"] * 10, np.round(linear["volume"] * 10))  # 0.1 SOL


def test_two_sandboxes_tell_the_same(sandbox: SandboxExchange, clock: Clock) -> None:
    other = SandboxExchange(clock, per_second=0)
    chart(other, NEW_YEAR - 30 * DAY, NEW_YEAR - 29 * DAY)
    for name, values in chart(sandbox, NEW_YEAR, NEW_YEAR + DAY).items():
        assert np.array_equal(values, chart(other, NEW_YEAR, NEW_YEAR + DAY)[name])


def test_a_hundred_calls_are_granted_and_then_refused(clock: Clock) -> None:
    exchange = SandboxExchange(clock, per_second=0.001, burst=100)
    replies = [exchange.answer("public/test", {}) for _ in range(101)]
    assert [reply.status for reply in replies] == [200] * 100 + [400]
    assert replies[-1].body["error"] == {"code": 10028, "message": "too_many_requests"}
    assert exchange.refused == 1


def test_the_list_of_instruments_is_metered_apart(clock: Clock) -> None:
    exchange = SandboxExchange(clock, per_second=0.001, burst=100)
    params = {"currency": "any"}
    replies = [exchange.answer("public/get_instruments", params).status for _ in range(51)]
    assert replies == [200] * 50 + [400]
    assert exchange.answer("public/test", {}).status == 200


def test_a_refresh_makes_the_former_token_invalid(sandbox: SandboxExchange) -> None:
    right = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    first = sandbox.answer("public/auth", {"grant_type": "client_credentials"} | right).body[
        "result"
    ]
    again = sandbox.answer(
        "public/auth", {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    ).body["result"]

    def summary(token: str) -> int:
        return sandbox.answer("private/get_account_summary", {"currency": "BTC"}, token).status

    assert (summary(first["access_token"]), summary(again["access_token"])) == (400, 200)


def test_a_spot_pair_that_is_routed_elsewhere_is_refused(sandbox: SandboxExchange) -> None:
    reply = sandbox.answer(
        "public/get_tradingview_chart_data",
        {
            "instrument_name": "BTC_USDC",
            "start_timestamp": "0",
            "end_timestamp": "1",
            "resolution": "1",
        },
    )
    assert reply.body["error"] == recorded("errors")["routed_spot"]["error"]


def test_it_listens_on_the_loopback_interface_only(sandbox: SandboxExchange) -> None:
    with serving(sandbox) as url:
        assert url.startswith("http://127.0.0.1:")


def test_faults_are_named_on_the_command_line() -> None:
    assert rates_from(["ragged=0.2", "502=0.5"]) == {"ragged": 0.2, "502": 0.5}
    assert rates_from(["502"]) == {"502": 1.0}
    assert sum(rates_from(["all=0.2"]).values()) == pytest.approx(0.2)
    assert rates_from(["all=0.2"]).keys() == FAULTS.keys()
    for wrong in ("nothing=0.1", "ragged=2", "ragged=much"):
        with pytest.raises(ValueError, match="a fault is NAME=SHARE|could not convert"):
            rates_from([wrong])
