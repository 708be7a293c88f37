"""A response is used only for its own request: identified over POST by the id, over GET by the
times. Despite any cache in between, a day never holds another instrument's candles."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.candles.calls import get_tradingview_chart_data
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.errors import DeribitRejected, DeribitUnavailable, UnknownInstrument
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.envelope import Stamps
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.cache import Cache
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.pipeline import CHART, Opened, Pipeline, midnight
from deribit_pipeline_tests.helpers.sent_requests import behind, body_of, logged, requests_of

DAY = date(2024, 1, 1)
WINDOW = TimeWindow(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
INSTRUMENT = "public/get_instrument"


def always(method: str, reply: Reply) -> bool:
    return True


@pytest.fixture
def exchange(opened: Opened) -> Exchange:
    return opened()


def closes(exchange: Exchange, name: str) -> list[float]:
    chart = exchange.run(
        get_tradingview_chart_data(exchange.client, name, Resolution.MINUTE_1, WINDOW)
    )
    values: list[float] = chart.candles.values[:, 3].tolist()
    return values


def true_closes(sandbox: SandboxExchange, name: str) -> list[float]:
    params = {"instrument_name": name, "resolution": "1"}
    params |= {
        "start_timestamp": str(int(WINDOW.start.timestamp() * 1000)),
        "end_timestamp": str(int(WINDOW.end.timestamp() * 1000) - 1),
    }
    found: list[float] = sandbox.answer(CHART, params).body["result"]["close"].tolist()
    return found


def test_every_call_is_a_post_with_an_id_of_its_own(settings: Settings) -> None:
    settings = replace(settings, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    numbers = []
    for _ in range(2):
        with open_exchange(settings) as exchange:
            sent = requests_of(exchange.client)
            assert closes(exchange, BTC)
            exchange.run(exchange.client.get_account_summary("BTC"))
            exchange.run(exchange.client.get_time())
        assert {(request.method, str(request.url)) for request in sent} == {
            ("POST", settings.base_url)
        }
        bodies = [body_of(request) for request in sent]
        numbers += [body["id"] for body in bodies]
        assert [body["method"] for body in bodies] == [
            "public/auth", CHART, "private/get_account_summary", "public/get_time",
        ]  # fmt: skip
        assert bodies[1]["params"]["instrument_name"] == BTC
        assert bodies[2]["params"] == {"currency": "BTC"}
        assert "Authorization" in sent[2].headers
    assert len(set(numbers)) == 8
    assert all(0 <= number < 2**53 for number in numbers)


@pytest.mark.parametrize("fault", ["another_id", "id_null"])
def test_a_response_with_another_id_or_none_is_requested_again(
    exchange: Exchange, sandbox: SandboxExchange, faults: Faults, fault: str
) -> None:
    assert closes(exchange, ETH)  # this host returns ids
    sent = requests_of(exchange.client)
    faults.corrupt_next([fault, fault])
    assert closes(exchange, BTC) == true_closes(sandbox, BTC)
    assert [request.method for request in sent] == ["POST"] * 3


@pytest.mark.parametrize("fault", ["another_id", "id_null"])
def test_a_refusal_of_another_request_is_not_trusted(
    exchange: Exchange, sandbox: SandboxExchange, faults: Faults, fault: str
) -> None:
    exchange.run(exchange.client.get_instrument(BTC))
    faults.corrupt_next([fault])
    with pytest.raises(UnknownInstrument):
        exchange.run(exchange.client.get_instrument("NOPE"))
    assert sandbox.requests[INSTRUMENT] == 3


@pytest.mark.parametrize("fault", ["another_id", "id_null"])
def test_ids_that_never_come_back_are_an_error(opened: Opened, faults: Faults, fault: str) -> None:
    exchange = opened(0.1)
    exchange.run(exchange.client.test())
    faults.corrupt_where(fault, always)
    with pytest.raises(DeribitUnavailable, match="its `id` is"):
        exchange.run(exchange.client.test())


@pytest.mark.parametrize(
    ("fault", "ways"),
    [("post_refused", ["POST", "GET", "POST", "GET", "GET"]), ("id_null", ["POST", "POST", "GET"])],
)
def test_a_host_without_post_or_ids_is_called_over_get_and_that_is_reported_once(
    exchange: Exchange,
    sandbox: SandboxExchange,
    faults: Faults,
    fault: str,
    ways: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults.corrupt_where(fault, always)
    sent = requests_of(exchange.client)
    for _ in range(3):
        assert closes(exchange, BTC) == true_closes(sandbox, BTC)
    assert [request.method for request in sent] == ways
    (output,) = logged(caplog, "is requested over GET", logging.WARNING)
    assert str(exchange.client.rpc._root) in output
    with pytest.raises(UnknownInstrument):
        exchange.run(exchange.client.get_instrument("NOPE"))


def test_the_archive_has_no_ids_and_is_called_over_get_without_a_warning(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert exchange.history is not None
    sent = requests_of(exchange.history)
    for _ in range(4):
        exchange.run(exchange.history.get_instrument(BTC))
        exchange.run(exchange.client.get_instrument(BTC))
    assert [request.method for request in sent] == ["POST", "GET", "GET", "GET"]
    (output,) = logged(caplog, "is requested over GET")
    assert "/history/api/v2" in output
    assert logged(caplog, "is requested over GET", logging.WARNING) == []


def test_of_many_calls_at_once_one_finds_out_how_the_archive_is_called(
    exchange: Exchange,
) -> None:
    assert exchange.history is not None
    history = exchange.history
    sent = requests_of(history)

    async def many() -> None:
        await asyncio.gather(*(history.get_instrument(BTC) for _ in range(10)))

    exchange.run(many())
    assert [request.method for request in sent] == ["POST"] + ["GET"] * 9


def test_one_refused_post_is_no_reason_to_send_no_more(exchange: Exchange, faults: Faults) -> None:
    faults.corrupt_next(["post_refused"])
    sent = requests_of(exchange.client)
    for _ in range(3):
        exchange.run(exchange.client.get_instrument(BTC))
    assert [request.method for request in sent] == ["POST", "GET", "POST", "POST"]


def test_where_neither_post_nor_get_is_answered_the_address_is_wrong(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(settings, base_url=str(settings.base_url).replace("/api/v2", "/api/v3"))
    with (
        open_exchange(wrong, 1.0) as exchange,
        pytest.raises(DeribitRejected, match="HTTP 404, .* is DERIBIT_BASE_URL the root"),
    ):
        exchange.run(exchange.client.test())
    assert caplog.records == []


def test_a_copy_over_get_is_requested_again_by_a_url_that_no_cache_has(
    sandbox: SandboxExchange, faults: Faults, settings: Settings
) -> None:
    """The archive host's: the main host's URLs are all different."""
    cache = Cache()
    with behind(cache, sandbox, faults, settings) as opens:
        opened = opens(5.0, 30.0)
        assert opened.history is not None
        for name in ("BTC-29MAR24", BTC, BTC):
            instrument = opened.run(opened.history.get_instrument(name))
            assert instrument.instrument_name == name
        sent = requests_of(opened.history)
        assert opened.run(opened.history.get_instrument(BTC)).instrument_name == BTC
    assert cache.hits == 2
    copied, again = sent
    assert copied.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-cache"
    assert dict(copied.url.params).items() < dict(again.url.params).items()


def test_a_host_that_is_called_over_get_never_gets_the_same_url_twice(
    sandbox: SandboxExchange, faults: Faults, settings: Settings
) -> None:
    faults.corrupt_where("post_refused", always)
    cache = Cache()
    with behind(cache, sandbox, faults, settings) as opens:
        exchange = opens(5.0, 30.0)
        assert closes(exchange, BTC) == closes(exchange, BTC) == true_closes(sandbox, BTC)
    assert cache.hits == 0


def test_a_cache_that_obeys_is_not_in_the_way_of_the_archive(
    sandbox: SandboxExchange, faults: Faults, settings: Settings
) -> None:
    cache = Cache(obeys=True)
    with behind(cache, sandbox, faults, settings) as opens:
        exchange = opens(5.0, 30.0)
        assert exchange.history is not None
        for _ in range(3):
            exchange.run(exchange.history.get_instrument(BTC))
    assert cache.hits == 0


EXPIRED, OTHER_EXPIRED = "BTC-29MAR24", "ETH-29MAR24"


@pytest.mark.parametrize("ways", [[], ["post_refused"], ["id_null"]], ids=["post", "get", "null"])
@pytest.mark.parametrize(
    ("names", "day", "confused"),
    [
        ((BTC, ETH), DAY, "mixed_up_once"),
        ((BTC, ETH), DAY, "another_urls_bodies"),
        ((EXPIRED, OTHER_EXPIRED), date(2024, 3, 20), "mixed_up_once"),  # of the archive host
    ],
)
def test_a_cache_that_has_another_instruments_candles_never_gives_them(
    sandbox: SandboxExchange,
    faults: Faults,
    settings: Settings,
    warehouse: Warehouse,
    clock: Clock,
    names: tuple[str, str],
    day: date,
    confused: str,
    ways: list[str],
) -> None:
    """One day of one instrument: no neighbouring response contradicts a foreign one."""
    for way in ways:
        faults.corrupt_where(way, always)
    cache, (name, other) = Cache(), names
    with behind(cache, sandbox, faults, settings) as opens:
        pipeline = Pipeline(opens, warehouse, sandbox)
        if confused == "mixed_up_once":
            cache.mix_up(name, other)
        else:
            pipeline.backfill(day, day, names=[other])
            cache.confuse(name, other)
        outcome = pipeline.backfill(day, day, names=[name])
    assert outcome.days_by_state == {DayState.COMPLETE: 1}
    clock.now = datetime(2024, 3, 30, tzinfo=UTC)  # when www, which `told` asks, knows all of them
    true = pipeline.returned(name, "1", midnight(day), midnight(day + timedelta(days=1)))
    assert pipeline.held(name, "1") == true


def test_the_exchange_gives_no_two_responses_the_same_times(
    exchange: Exchange, clock: Clock
) -> None:
    """Not even while its clock stands still, like the sandbox's clock in tests."""

    async def many(client: DeribitClient) -> list[tuple[int, int]]:
        answers = await asyncio.gather(*(client.test() for _ in range(50)))
        assert {answer.as_of for answer in answers} == {clock.now}
        return [answer.stamp for answer in answers]

    stamps = exchange.run(many(exchange.client))
    assert len(set(stamps)) == 50
    assert {came_in for came_in, _ in stamps} == {int(clock.now.timestamp() * 1e6)}


def test_stamps_are_known_as_far_back_as_they_are_kept() -> None:
    stamps = Stamps(most=3)
    assert [stamps.is_new((n, n)) for n in (1, 2, 3, 1, 4, 3, 1)] == [
        True, True, True, False, True, False, True,
    ]  # fmt: skip


def test_the_query_of_a_get_and_the_body_of_a_post_say_the_same(
    exchange: Exchange, sandbox: SandboxExchange
) -> None:
    seen: list[dict[str, str]] = []

    def noting(params: dict[str, str]) -> Any:
        seen.append(dict(params))
        return []

    sandbox._methods["public/noted"] = noting
    sandbox._history_methods["public/noted"] = noting
    given: dict[str, object] = {"currency": "BTC", "expired": True, "count": 10, "rate": 0.5}
    calls: list[Callable[..., Any]] = [exchange.client.rpc.call]
    assert exchange.history is not None
    calls.append(exchange.history.rpc.call)
    for call in calls:
        exchange.run(call("public/noted", **given))
    as_text = {"currency": "BTC", "expired": "true", "count": "10", "rate": "0.5"}
    exchange.run(exchange.history.rpc.call("public/noted", **given))  # over GET now
    assert seen == [as_text] * 3
