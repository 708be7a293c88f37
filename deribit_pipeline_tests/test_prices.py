"""Delivery prices, volatility and index prices: offsets that shift, windows that roll on."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets import DELIVERY_PRICES, HISTORICAL_VOLATILITY, INDEX_PRICES, Dataset
from deribit_pipeline.deribit import prices
from deribit_pipeline.domain import DatasetProof, DayState, days_between
from deribit_pipeline.errors import DeribitBadPayload, DeribitRejected
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.foreground import ForegroundBackfill
from deribit_pipeline.operations.jobs import Job
from deribit_pipeline.operations.sources import rolling
from deribit_pipeline.operations.sources.delivery_prices import DeliveryPricesSource
from deribit_pipeline.operations.sources.source import FailedDays, Source
from deribit_pipeline.planning.rolling import NO_LONGER_TOLD, read_window
from deribit_pipeline.planning.rows import FetchedRows, ProvedRows, count_of, prove_rows
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse import price_rules
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.rules import breaches
from deribit_pipeline_tests.conftest import Clock, recorded
from deribit_pipeline_tests.test_sandbox import shape

DELIVERIES = "public/get_delivery_prices"
VOLATILITY = "public/get_historical_volatility"
CHART = "public/get_index_chart_data"
HOUR_MS = 3_600_000

Fetch = Callable[..., dict[date, FetchedRows]]


@pytest.fixture
def fetch(opened: Callable[..., Exchange], warehouse: Warehouse) -> Fetch:
    """Fetches days of a series from a source; where they have failed, raises why."""

    def fetch(source: Source, series: str, days: Sequence[date]) -> dict[date, FetchedRows]:
        exchange = opened()

        async def work() -> dict[date, FetchedRows]:
            fetched = {}
            async for one in source.fetch(exchange, warehouse, series, days):
                if isinstance(one, FailedDays):
                    assert list(one.days) == list(days)
                    raise one.error
                fetched[one.day] = one
            return fetched

        return exchange.run(work())

    return fetch


def proved(dataset: Dataset, fetched: FetchedRows, held: ProvedRows | None = None) -> ProvedRows:
    if held is None:
        return prove_rows(dataset, fetched)
    return prove_rows(dataset, fetched, held.rows, held.proof)


def answer(sandbox: SandboxExchange, method: str, **params: object) -> Any:
    return sandbox.answer(method, {name: str(value) for name, value in params.items()}).body[
        "result"
    ]


# Answers


def test_the_recorded_delivery_prices_are_read() -> None:
    page = prices.delivery_prices(recorded("delivery_prices"))
    assert page.records_total == 2_614
    assert page.rows["delivery_date"].astype(str).tolist()[0] == "2026-09-20"
    assert page.rows["delivery_price"].tolist() == [
        row["delivery_price"] for row in recorded("delivery_prices")["data"]
    ]


def test_the_recorded_volatility_tells_its_first_row_twice() -> None:
    rows = prices.historical_volatility(recorded("historical_volatility"))
    assert rows["measured_at"][0] == rows["measured_at"][1]
    as_of = datetime(2026, 9, 20, 21, tzinfo=UTC)
    window = read_window("measured_at", rows, as_of, step=timedelta(hours=1))
    assert count_of(window.rows) == count_of(rows) - 1


def test_the_recorded_chart_of_an_hour_has_steps_of_six_seconds() -> None:
    rows = prices.index_chart(recorded("index_chart_data"))
    as_of = datetime(2026, 9, 20, 21, 17, 21, tzinfo=UTC)
    window = read_window("priced_at", rows, as_of, reach=timedelta(hours=1))
    assert window.step == np.timedelta64(6_000, "ms")
    assert rows["price"].tolist() == [price for _, price in recorded("index_chart_data")]


def test_the_recorded_names_of_indexes_are_read() -> None:
    names = prices.index_price_names(recorded("index_price_names"))
    assert {"btc_usd", "eth_usd", "sol_usdc"} <= set(names)


@pytest.mark.parametrize(
    ("parser", "told", "sentence"),
    [
        (prices.delivery_prices, {"data": [], "records_total": None}, "array of numbers"),
        (prices.delivery_prices, {"data": [], "records_total": 1.5}, "must be a count"),
        (prices.delivery_prices, {"data": [{"date": "20260920"}]}, "`date` must be a date"),
        (prices.delivery_prices, {"data": [{"date": "2026-09-31"}]}, "`date` must be a date"),
        (prices.historical_volatility, {}, "must be an array"),
        (prices.historical_volatility, [[1]], "a moment and a number"),
        (prices.index_chart, [[1, None]], "`value` must be an array of numbers"),
        (prices.index_chart, [["1", 2]], "`timestamp` must be a number"),
        (prices.index_price_names, [7], "`name` must be a text"),
    ],
)
def test_an_odd_answer_is_an_error(
    parser: Callable[[object], object], told: object, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        parser(told)


def test_the_sandbox_answers_as_was_recorded(sandbox: SandboxExchange) -> None:
    told: Mapping[str, Any] = {
        "delivery_prices": answer(sandbox, DELIVERIES, index_name="btc_usd"),
        "historical_volatility": answer(sandbox, VOLATILITY, currency="BTC"),
        "index_chart_data": answer(sandbox, CHART, index_name="btc_usd", range="1h"),
        "index_price_names": answer(sandbox, "public/get_index_price_names"),
    }
    for name, result in told.items():
        assert shape(result) == shape(recorded(name)), name
    assert len(told["delivery_prices"]["data"]) == 10
    assert told["historical_volatility"][0] == told["historical_volatility"][1]


# Delivery prices


def test_every_day_has_its_delivery_price_over_pages(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    days = list(days_between(date(2018, 8, 10), date(2024, 4, 9)))
    fetched = fetch(DeliveryPricesSource(), "btc_usd", days)
    states = [proved(DELIVERY_PRICES, fetched[day]).proof.state for day in days]
    # Listed after 08:00 on 14 August, it is delivered on the 15th for the first time.
    assert states == [DayState.NOT_LISTED] * 5 + [DayState.COMPLETE] * (len(days) - 5)
    newest = answer(sandbox, DELIVERIES, index_name="btc_usd")["data"][1]
    assert newest["date"] == "2024-04-09"
    assert fetched[days[-1]].rows["delivery_price"].tolist() == [newest["delivery_price"]]
    assert sandbox.requests[DELIVERIES] <= DeliveryPricesSource().requests("btc_usd", days) + 3


def test_the_newest_days_take_one_page_twice(fetch: Fetch, sandbox: SandboxExchange) -> None:
    fetch(DeliveryPricesSource(), "btc_usd", [date(2024, 4, 8), date(2024, 4, 9)])
    assert sandbox.requests[DELIVERIES] == 2


def test_a_price_that_is_added_between_two_pages_loses_none(
    fetch: Fetch, sandbox: SandboxExchange, clock: Clock
) -> None:
    clock.now = datetime(2024, 4, 10, 7, 59, 59, tzinfo=UTC)

    def a_second_later(result: Any) -> Any:
        clock.forward(timedelta(seconds=1))
        return result

    sandbox.amend(DELIVERIES, a_second_later)
    days = list(days_between(date(2024, 3, 1), date(2024, 4, 9)))
    fetched = fetch(DeliveryPricesSource(count=10), "btc_usd", days)
    assert all(count_of(fetched[day].rows) == 1 for day in days)


def test_a_total_that_does_not_add_up_is_not_believed(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    sandbox.amend(DELIVERIES, lambda page: page | {"records_total": 5_000})
    with pytest.raises(DeribitBadPayload, match="68 delivery prices came, and .*00 of 5000"):
        fetch(DeliveryPricesSource(), "btc_usd", [date(2018, 1, 1)])


def test_pages_that_do_not_join_are_not_believed(fetch: Fetch, sandbox: SandboxExchange) -> None:
    pages = iter(range(1_000_000))
    sandbox.amend(
        DELIVERIES,
        lambda page: (
            page | {"data": [row | {"delivery_price": next(pages)} for row in page["data"]]}
        ),
    )
    with pytest.raises(DeribitBadPayload, match="does not begin with the last price"):
        fetch(DeliveryPricesSource(count=10), "btc_usd", [date(2024, 3, 1)])


@pytest.mark.parametrize(
    ("amendment", "sentence"),
    [
        (lambda page: page | {"data": page["data"][::-1]}, "did not come the newest first"),
        (
            lambda page: page | {"data": page["data"][:-1]},
            "899 delivery prices came, and 900",
        ),
        (lambda page: {"data": [], "records_total": 0}, "has no delivery price of the index"),
        (
            lambda page: {
                "data": [{"date": "2031-01-01", "delivery_price": 1.0}],
                "records_total": 1,
            },
            "2031-01-01 came, and it was 2024",
        ),
    ],
)
def test_odd_delivery_prices_are_not_believed(
    fetch: Fetch, sandbox: SandboxExchange, amendment: Callable[[Any], Any], sentence: str
) -> None:
    sandbox.amend(DELIVERIES, amendment)
    with pytest.raises(DeribitBadPayload, match=sentence):
        fetch(DeliveryPricesSource(), "btc_usd", [date(2024, 4, 9)])


def test_one_answer_of_another_index_is_outvoted(fetch: Fetch, sandbox: SandboxExchange) -> None:
    another = answer(sandbox, DELIVERIES, index_name="eth_usd", count=1_000)
    total = answer(sandbox, DELIVERIES, index_name="btc_usd")["records_total"]
    turns = iter([another | {"records_total": total}])
    sandbox.amend(DELIVERIES, lambda page: next(turns, page))
    (fetched,) = fetch(DeliveryPricesSource(), "btc_usd", [date(2024, 4, 9)]).values()
    sandbox.amend(DELIVERIES, lambda page: page)
    assert fetched.rows["delivery_price"].tolist() == [
        answer(sandbox, DELIVERIES, index_name="btc_usd")["data"][1]["delivery_price"]
    ]


def test_a_lost_delivery_price_is_a_gap(fetch: Fetch, sandbox: SandboxExchange) -> None:
    sandbox.prices.lost.add(("btc_usd", "2024-04-08"))
    days = list(days_between(date(2024, 4, 7), date(2024, 4, 9)))
    fetched = fetch(DeliveryPricesSource(), "btc_usd", days)
    settled = [proved(DELIVERY_PRICES, fetched[day]) for day in days]
    assert [one.proof.state for one in settled] == [
        DayState.COMPLETE,
        DayState.GAPPED,
        DayState.COMPLETE,
    ]
    assert [gap.gap for gap in settled[1].gaps] == ["2024-04-08"]


def test_today_is_delivered_at_eight(fetch: Fetch, clock: Clock) -> None:
    today = date(2024, 4, 10)
    states = []
    for minute in (-60, 0, 1, 60):
        clock.now = datetime(2024, 4, 10, 8, tzinfo=UTC) + timedelta(minutes=minute)
        fetched = fetch(DeliveryPricesSource(), "btc_usd", [today])[today]
        states.append(proved(DELIVERY_PRICES, fetched).proof.state)
    assert states == [DayState.OPEN, DayState.OPEN, DayState.COMPLETE, DayState.COMPLETE]


def test_a_price_told_before_eight_is_not_stored(
    fetch: Fetch, sandbox: SandboxExchange, clock: Clock
) -> None:
    clock.now = datetime(2024, 4, 10, 7, tzinfo=UTC)
    early = {"date": "2024-04-10", "delivery_price": 1.0}
    sandbox.amend(
        DELIVERIES,
        lambda page: {
            "data": [early, *page["data"]][: len(page["data"])],
            "records_total": page["records_total"] + 1,
        },
    )
    fetched = fetch(DeliveryPricesSource(), "btc_usd", [date(2024, 4, 10)])
    assert count_of(fetched[date(2024, 4, 10)].rows) == 0


def test_an_unknown_index_is_refused(fetch: Fetch) -> None:
    for source in (DeliveryPricesSource(), rolling.INDEX_PRICES):
        with pytest.raises(DeribitRejected, match="unknown index"):
            fetch(source, "xyz_usd", [date(2024, 4, 9)])


# What is told of the last days only


def test_an_hourly_day_has_twenty_four_hours(fetch: Fetch) -> None:
    days = list(days_between(date(2024, 3, 26), date(2024, 4, 9)))
    fetched = fetch(rolling.HISTORICAL_VOLATILITY, "BTC", days)
    for day in days:
        proof = proved(HISTORICAL_VOLATILITY, fetched[day]).proof
        assert (proof.state, proof.received) == (DayState.COMPLETE, 24)


def test_the_running_hour_is_not_stored(fetch: Fetch, clock: Clock) -> None:
    today = clock.now.date()
    proof = proved(
        HISTORICAL_VOLATILITY, fetch(rolling.HISTORICAL_VOLATILITY, "BTC", [today])[today]
    ).proof
    assert (proof.state, proof.expected, proof.received) == (DayState.OPEN, 24, 12)


def test_a_day_that_was_not_polled_in_time_is_gapped_and_says_why(fetch: Fetch) -> None:
    day = date(2024, 3, 25)
    settled = proved(HISTORICAL_VOLATILITY, fetch(rolling.HISTORICAL_VOLATILITY, "BTC", [day])[day])
    assert (settled.proof.state, settled.proof.missing) == (DayState.GAPPED, 24)
    assert settled.proof.verdict == NO_LONGER_TOLD
    assert [gap.gap for gap in settled.gaps] == ["2024-03-25T00:00:00Z to 2024-03-25T23:00:00Z"]


def test_a_window_that_rolled_on_takes_no_held_row_away(fetch: Fetch, clock: Clock) -> None:
    day = date(2024, 4, 9)
    first = proved(HISTORICAL_VOLATILITY, fetch(rolling.HISTORICAL_VOLATILITY, "BTC", [day])[day])
    clock.forward(timedelta(days=30))
    fetched = fetch(rolling.HISTORICAL_VOLATILITY, "BTC", [day])[day]
    again = proved(HISTORICAL_VOLATILITY, fetched, first)
    assert count_of(fetched.rows) == 0
    assert again.proof.state is DayState.COMPLETE
    assert again.proof.content_hash == first.proof.content_hash
    assert not count_of(again.replaced)


def test_polls_of_index_prices_add_up_to_whole_days(fetch: Fetch, clock: Clock) -> None:
    day, held = clock.now.date(), None
    states = []
    for _ in range(4):
        fetched = fetch(rolling.INDEX_PRICES, "btc_usd", [day])[day]
        held = proved(INDEX_PRICES, fetched, held)
        states.append((held.proof.state, held.proof.received, held.proof.missing))
        clock.forward(timedelta(hours=17))
    assert states == [
        (DayState.OPEN, 150, 0),
        (DayState.COMPLETE, 300, 0),
        (DayState.COMPLETE, 300, 0),
        (DayState.COMPLETE, 300, 0),
    ]


def polled(exchange: Exchange, warehouse: Warehouse, day: date) -> DatasetProof:
    """The proof of a day of index prices after another poll, asked for even where it is settled."""
    backfill = ForegroundBackfill(exchange, warehouse)
    outcome = backfill.backfill(INDEX_PRICES, Job("a run", {"btc_usd": [day]}), force=True)
    (proof,) = outcome.proofs.values()
    assert isinstance(proof, DatasetProof)
    return proof


@pytest.mark.parametrize("hours", [0, 17, 30, 80])
@pytest.mark.parametrize("seconds", [-100, 144])
def test_a_complete_day_stays_so_when_the_chart_stands_on_another_grid(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange,
    clock: Clock, seconds: int, hours: int,
) -> None:  # fmt: skip
    exchange, day = opened(), date(2024, 4, 9)
    complete = polled(exchange, warehouse, day)
    assert (complete.state, complete.received) == (DayState.COMPLETE, 300)
    clock.forward(timedelta(hours=hours))
    if seconds < 0:
        sandbox.amend(CHART, lambda points: [[at + seconds * 1_000, v] for at, v in points])
    else:
        sandbox.prices.charts["2d"] = (2 * 86_400_000, seconds * 1_000)
    again = polled(exchange, warehouse, day)
    assert again == replace(complete, fetched_at=again.fetched_at)


def test_a_running_day_is_counted_on_the_newest_grid_and_keeps_its_rows(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange, clock: Clock
) -> None:
    exchange, day = opened(), clock.now.date()
    assert (polled(exchange, warehouse, day).state, clock.now.hour) == (DayState.OPEN, 12)
    sandbox.amend(CHART, lambda points: [[at - 100_000, v] for at, v in points])
    clock.forward(timedelta(hours=17))
    proof = polled(exchange, warehouse, day)
    assert (proof.state, proof.received) == (DayState.COMPLETE, 150 + 300)
    # What the newest grid lacks, no row of another one makes good.
    sandbox.amend(CHART, lambda points: [[at - 50_000, v] for at, v in points])
    day = clock.now.date()
    assert polled(exchange, warehouse, day).state is DayState.OPEN
    clock.forward(timedelta(hours=21))
    sandbox.amend(CHART, lambda points: [*points[:400], *points[402:]])
    proof = polled(exchange, warehouse, day)
    assert (proof.state, proof.missing) == (DayState.GAPPED, 2)


@pytest.mark.parametrize("source", [rolling.INDEX_PRICES, rolling.HISTORICAL_VOLATILITY])
def test_a_day_is_open_until_its_last_row_must_have_been_told(
    fetch: Fetch, clock: Clock, source: rolling.RollingSource
) -> None:
    day, series = date(2024, 4, 10), "btc_usd" if source is rolling.INDEX_PRICES else "BTC"
    for seconds, is_over in ((0, False), (59, False), (60, True)):
        clock.now = datetime(2024, 4, 11, tzinfo=UTC) + timedelta(seconds=seconds)
        assert fetch(source, series, [day])[day].is_over == is_over


def test_the_day_before_yesterday_has_what_is_left_of_it(fetch: Fetch) -> None:
    day = date(2024, 4, 8)
    settled = proved(INDEX_PRICES, fetch(rolling.INDEX_PRICES, "btc_usd", [day])[day])
    assert settled.proof.state is DayState.GAPPED
    assert 140 < settled.proof.received < 150
    assert settled.proof.verdict == NO_LONGER_TOLD


@pytest.mark.parametrize("seconds", [30, 60, 300, 900])
def test_a_chart_in_other_steps_is_counted_on_its_own_grid(
    fetch: Fetch, sandbox: SandboxExchange, seconds: int
) -> None:
    sandbox.prices.charts["2d"] = (2 * 86_400_000, seconds * 1_000)
    day = date(2024, 4, 9)
    proof = proved(INDEX_PRICES, fetch(rolling.INDEX_PRICES, "btc_usd", [day])[day]).proof
    assert (proof.state, proof.received) == (DayState.COMPLETE, 86_400 // seconds)


def test_a_point_that_lacks_is_a_gap(fetch: Fetch, sandbox: SandboxExchange) -> None:
    sandbox.amend(CHART, lambda points: [*points[:400], *points[402:]])
    day = date(2024, 4, 9)
    settled = proved(INDEX_PRICES, fetch(rolling.INDEX_PRICES, "btc_usd", [day])[day])
    assert (settled.proof.state, settled.proof.missing) == (DayState.GAPPED, 2)
    assert settled.proof.verdict == ""


def test_answers_must_agree_before_they_are_believed(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    day = date(2024, 4, 9)
    right = fetch(rolling.INDEX_PRICES, "btc_usd", [day])[day]
    turns = iter(
        [
            answer(sandbox, CHART, index_name="eth_usd", range="2d"),
            answer(sandbox, CHART, index_name="btc_usd", range="1d"),
            answer(sandbox, CHART, index_name="btc_usd", range="2d")[:-100],
        ]
    )
    sandbox.amend(CHART, lambda points: next(turns, points))
    fetched = fetch(rolling.INDEX_PRICES, "btc_usd", [day])[day]
    assert fetched.rows["price"].tolist() == right.rows["price"].tolist()


def test_the_chart_of_another_range_is_odd(fetch: Fetch, sandbox: SandboxExchange) -> None:
    sandbox.prices.charts["2d"] = sandbox.prices.charts["1m"]
    with pytest.raises(DeribitBadPayload, match="more than 3 days"):
        fetch(rolling.INDEX_PRICES, "btc_usd", [date(2024, 4, 9)])


def test_answers_that_never_agree_prove_nothing(fetch: Fetch, sandbox: SandboxExchange) -> None:
    luck = random.Random(0)
    sandbox.amend(VOLATILITY, lambda rows: [[at, luck.random()] for at, _ in rows[1:]])
    with pytest.raises(DeribitBadPayload, match="answers contradict each other"):
        fetch(rolling.HISTORICAL_VOLATILITY, "BTC", [date(2024, 4, 9)])


@pytest.mark.parametrize(
    ("amendment", "sentence"),
    [
        (lambda rows: [], "no row came"),
        (lambda rows: rows[::-1], "not in the order of time"),
        (lambda rows: [*rows, rows[-1]], "repeated or not in the order"),
        (lambda rows: [[rows[0][0], 1.0], *rows[1:]], "came twice, and said two things"),
        (lambda rows: [[at + (n == 9), v] for n, (at, v) in enumerate(rows)], "stand every"),
        (lambda rows: [*rows, [rows[-1][0] + HOUR_MS, 1.0]], "and it was 2024"),
    ],
)
def test_an_odd_window_is_not_believed(
    fetch: Fetch, sandbox: SandboxExchange, amendment: Callable[[Any], Any], sentence: str
) -> None:
    sandbox.amend(VOLATILITY, amendment)
    with pytest.raises(DeribitBadPayload, match=sentence):
        fetch(rolling.HISTORICAL_VOLATILITY, "BTC", [date(2024, 4, 9)])


def test_a_currency_without_volatility_proves_nothing(fetch: Fetch) -> None:
    with pytest.raises(DeribitBadPayload, match="no row came"):
        fetch(rolling.HISTORICAL_VOLATILITY, "USDT", [date(2024, 4, 9)])
    with pytest.raises(DeribitRejected, match="invalid currency"):
        fetch(rolling.HISTORICAL_VOLATILITY, "XYZ", [date(2024, 4, 9)])


# Rules


SOUND = """
insert into delivery_prices
select 'btc_usd', date '2024-04-01' + cast(n as integer), 70000 from range(5) as days(n);
insert into historical_volatility
select 'BTC', timestamptz '2024-04-01 00:00:00+00' + to_hours(n), 50 from range(24) as hours(n);
insert into index_prices
select 'btc_usd', timestamptz '2024-04-01 00:00:00+00' + to_seconds(288 * n), 70000
from range(300) as points(n);
"""
LATE = "where priced_at > timestamptz '2024-04-01 12:00:00+00'"


@pytest.mark.parametrize(
    ("dataset", "rule", "offence"),
    [
        (DELIVERY_PRICES, 0, "delete from delivery_prices where delivery_date = '2024-04-03'"),
        (HISTORICAL_VOLATILITY, 0, "update historical_volatility set volatility = 0"),
        (INDEX_PRICES, 0, "update index_prices set price = -1"),
        (
            INDEX_PRICES,
            1,
            f"update index_prices set priced_at = priced_at + interval 1 second {LATE}",
        ),
    ],
)
def test_a_rule_finds_its_offence(
    warehouse: Warehouse, dataset: Dataset, rule: int, offence: str
) -> None:
    tried = price_rules.RULES[dataset.name][rule]
    with warehouse.writing() as connection:
        connection.execute(SOUND)
        assert breaches(connection, tried, {}).count == 0
        connection.execute(offence)
        assert breaches(connection, tried, {}).count > 0
