"""Days before the first event are settled without rows, if that can be proved."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.delivery_prices.source import DeliveryPricesSource
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.settlements.proof import first_settlement
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.sandbox.listing import ms_of
from deribit_pipeline_tests.helpers import fetched_prices, fetched_settlements
from deribit_pipeline_tests.helpers.fetched_prices import DELIVERIES
from deribit_pipeline_tests.helpers.fetched_settlements import BY_CURRENCY, SPRING, Fetch, fetch

__all__ = ["fetch"]

priced_fetch = fetched_prices.fetch
WEEK = list(days_between(date(2024, 4, 5), date(2024, 4, 10)))


def states(fetched: list[Any]) -> dict[date, DayState]:
    assert all(isinstance(one, FetchedDay) for one in fetched), fetched
    return {one.day: prove(SETTLEMENTS, one).proof.state for one in fetched}


@pytest.mark.parametrize("currency", ["USDT", "EURR"])
def test_days_of_a_currency_in_which_nothing_settles_are_settled(
    fetch: Fetch, currency: str
) -> None:
    assert states(fetch(WEEK, currency)) == dict.fromkeys(WEEK[:-1], DayState.NOT_LISTED) | {
        WEEK[-1]: DayState.OPEN
    }


@pytest.mark.parametrize(
    ("created", "is_proved"),
    [("2024-04-10T09:00:00", True), ("2024-04-10T07:00:00", False), ("2024-04-09T09:00:00", False)],
)
def test_what_was_listed_after_the_last_settlement_has_none_yet(
    fetch: Fetch, sandbox: SandboxExchange, created: str, *, is_proved: bool
) -> None:
    new = replace(LISTINGS[0], instrument_name="BTC_USDT-PERPETUAL", created_ms=ms_of(created))
    returned = sandbox._methods["public/get_instruments"]
    entry = new.result(sandbox.now_ms()) | {"settlement_currency": "USDT"}

    def with_it(params: Any) -> Any:
        is_its = params["currency"] == "USDT" and params.get("expired") == "false"
        return [*returned(params), *([entry] if is_its else [])]

    sandbox._methods["public/get_instruments"] = with_it
    if is_proved:
        assert set(states(fetch(WEEK, "USDT")).values()) == {DayState.NOT_LISTED, DayState.OPEN}
    else:
        assert "not even the newest ones" in fetched_settlements.failures(fetch(WEEK, "USDT"), WEEK)


def test_an_exchange_without_any_settlement_still_proves_nothing(
    fetch: Fetch, sandbox: SandboxExchange
) -> None:
    sandbox.replay(BY_CURRENCY, {"settlements": []})
    assert "not even the newest ones" in fetched_settlements.failures(fetch(SPRING, "USDT"), SPRING)


def test_settlements_begin_at_eight() -> None:
    eight = datetime(2024, 4, 10, 8, tzinfo=UTC)
    assert first_settlement(eight.replace(hour=7)) == eight
    assert first_settlement(eight) == eight.replace(day=11)


def test_an_index_of_which_nothing_was_delivered_yet_is_settled(
    priced_fetch: fetched_prices.Fetch, sandbox: SandboxExchange
) -> None:
    returned = sandbox._methods[DELIVERIES]
    empty: Callable[[Any], Any] = lambda params: (  # noqa: E731
        {"data": [], "records_total": 0}
        if params["index_name"] == "hype_usdc"
        else returned(params)
    )
    sandbox._methods[DELIVERIES] = empty
    sandbox.amend("public/get_index_price_names", lambda names: [*names, "hype_usdc"])
    fetched = priced_fetch(DeliveryPricesSource(), "hype_usdc", WEEK)
    found = {day: prove(DELIVERY_PRICES, one).proof.state for day, one in fetched.items()}
    assert found == dict.fromkeys(WEEK[:-1], DayState.NOT_LISTED) | {WEEK[-1]: DayState.OPEN}
    sandbox.amend("public/get_index_price_names", lambda names: names[:-1])
    with pytest.raises(DeribitBadPayload, match="has no delivery price of the index"):
        priced_fetch(DeliveryPricesSource(), "hype_usdc", WEEK)
