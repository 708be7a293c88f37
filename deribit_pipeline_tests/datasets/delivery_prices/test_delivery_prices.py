"""Delivery prices: one per day, in pages that shift while they are read."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.delivery_prices.source import DeliveryPricesSource
from deribit_pipeline.datasets.index_prices import source as index_prices
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.rows import count_of, gaps_of
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.errors import DeribitBadPayload, DeribitRejected
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.fetched_prices import DELIVERIES, Fetch, answer, fetch, proved

__all__ = ["fetch"]


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


def test_a_total_that_does_not_add_up_is_not_trusted(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    sandbox.amend(DELIVERIES, lambda page: page | {"records_total": 5_000})
    with pytest.raises(
        DeribitBadPayload, match="68 delivery prices were returned, and .*00 of 5000"
    ):
        fetch(DeliveryPricesSource(), "btc_usd", [date(2018, 1, 1)])


def test_pages_that_do_not_join_are_not_trusted(fetch: Fetch, sandbox: SandboxExchange) -> None:
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
        (lambda page: page | {"data": page["data"][::-1]}, "are not sorted newest first"),
        (
            lambda page: page | {"data": page["data"][:-1]},
            "99 delivery prices were returned, and .00 of",
        ),
        (lambda page: {"data": [], "records_total": 0}, "has no delivery price of the index"),
        (
            lambda page: {
                "data": [{"date": "2031-01-01", "delivery_price": 1.0}],
                "records_total": 1,
            },
            "2031-01-01 was returned, and it was 2024",
        ),
    ],
)
def test_malformed_delivery_prices_are_not_trusted(
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
    assert [gap.gap for gap in gaps_of(settled[1].expected, settled[1].gaps)] == ["2024-04-08"]


def test_today_is_delivered_at_eight(fetch: Fetch, clock: Clock) -> None:
    today = date(2024, 4, 10)
    states = []
    for minute in (-60, 0, 1, 60):
        clock.now = datetime(2024, 4, 10, 8, tzinfo=UTC) + timedelta(minutes=minute)
        fetched = fetch(DeliveryPricesSource(), "btc_usd", [today])[today]
        states.append(proved(DELIVERY_PRICES, fetched).proof.state)
    assert states == [DayState.OPEN, DayState.OPEN, DayState.COMPLETE, DayState.COMPLETE]


def test_a_price_returned_before_eight_is_not_stored(
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
    for source in (DeliveryPricesSource(), index_prices.SOURCE):
        with pytest.raises(DeribitRejected, match="unknown index"):
            fetch(source, "xyz_usd", [date(2024, 4, 9)])
