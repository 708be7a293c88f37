"""Contradictory trade numbers, and the bounded cost of one wrong response."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.trades.hosts import TradeHosts
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.trade_methods import Trades
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.fetched_trades import TODAY, TradesFetched, held_of, states
from deribit_pipeline_tests.helpers.made_up_trades import NAME, every_minute, trade

BY_NUMBER = "public/get_last_trades_by_instrument"
BY_TIME = BY_NUMBER + "_and_time"
DAY = date(2024, 3, 2)


@pytest.fixture
def source(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange
) -> TradesFetched:
    return TradesFetched(opened(patience=2.0), warehouse, sandbox)


def reason(source: TradesFetched, first: date, last: date, name: str = NAME) -> str:
    """The reason why all days failed."""
    pieces = source.fetched(first, last, name).values()
    assert all(isinstance(piece, FailedDays) for piece in pieces)
    [output] = {piece.error.reason for piece in pieces if isinstance(piece, FailedDays)}
    return output


@pytest.mark.parametrize("last", [date(2024, 3, 2), date(2024, 3, 3), TODAY])
def test_numbers_that_begin_again_within_the_days_are_refused(
    source: TradesFetched, last: date
) -> None:
    source.sandbox.trades.give(
        NAME,
        [
            trade(89_999, "2024-03-01T20:00"),
            trade(90_000, "2024-03-02T10:00"),
            trade(1, "2024-03-02T14:00"),
            trade(2, "2024-03-03T09:00"),
            trade(3, "2024-04-10T11:00"),
        ],
    )
    assert "trade numbers run against time" in reason(source, DAY, last)


def test_numbers_that_begin_again_after_the_days_are_refused(source: TradesFetched) -> None:
    given = [*every_minute(80_000, "2024-03-01T20:00", 900), *every_minute(1, "2024-03-05", 900)]
    source.sandbox.trades.give(NAME, given)
    assert "trade numbers run against time" in reason(source, DAY, DAY)


def test_numbers_that_run_against_time_in_the_newest_response_are_refused(
    source: TradesFetched,
) -> None:
    source.sandbox.trades.give(
        NAME, [trade(9_000 - 200 * n, f"2024-04-10T{n:02}:00") for n in range(12)]
    )
    assert "trade numbers run against time" in reason(source, TODAY, TODAY)


def test_an_inversion_of_a_few_numbers_is_tolerated_beside_the_days(
    source: TradesFetched,
) -> None:
    given = list(every_minute(1, "2024-03-01T20:00", 2_500))
    given[200]["timestamp"], given[280]["timestamp"] = (
        given[280]["timestamp"], given[200]["timestamp"]
    )  # fmt: skip
    source.sandbox.trades.give(NAME, given)
    assert states(source.proved(DAY, DAY)) == ["complete"]


def corrupt(
    sandbox: SandboxExchange, method: str, change: Callable[[Mapping[str, str], Any], Any]
) -> None:
    """Apply `change` to the parameters and the result of a method of the archive."""
    former = sandbox._history_methods[method]
    sandbox._history_methods[method] = lambda params: change(params, former(params))


def requests(source: TradesFetched) -> int:
    return sum(source.sandbox.requests[method] for method in (BY_NUMBER, BY_TIME))


@pytest.fixture
def busy(source: TradesFetched, monkeypatch: pytest.MonkeyPatch) -> TradesFetched:
    """The source with an archive that returns a tenth of its usual rows, so that days need many
    requests."""
    former = TradeHosts.__init__

    def small(self: TradeHosts, exchange: Exchange, name: str) -> None:
        former(self, exchange, name)
        self.per_chunk = 100

    monkeypatch.setattr(TradeHosts, "__init__", small)
    return source


@pytest.mark.parametrize("sorting", ["asc", "desc"])
@pytest.mark.parametrize("times", [1, 10**6])
def test_a_response_of_another_time_does_not_steer_the_plan(
    busy: TradesFetched, sorting: str, times: int
) -> None:
    """A cache returns a response for other days, once or for every equal request."""
    far_away = 1_000 if sorting == "desc" else busy.numbers(date(2024, 4, 8)).start
    wrong = busy.returned("history", start_seq=far_away, count=50)
    assert len(wrong) == 50
    seen: dict[str, int] = {}

    def change(params: Mapping[str, str], result: Any) -> Any:
        key = str(sorted(params.items()))
        if (
            params["sorting"] != sorting
            or (seen and key not in seen)
            or sum(seen.values()) >= times
        ):
            return result
        seen[key] = seen.get(key, 0) + 1
        return {"trades": wrong, "has_more": True}

    corrupt(busy.sandbox, BY_TIME, change)
    before = requests(busy)
    fetched = busy.fetched(DAY, DAY)[DAY]
    assert requests(busy) - before < 150
    if times == 1:
        assert isinstance(fetched, FetchedDay)
        assert fetched.rows["trade_seq"].tolist() == list(busy.numbers(DAY))
    else:
        assert isinstance(fetched, FailedDays)
        assert "was returned once and not again" in fetched.error.reason


def test_a_newest_number_that_is_far_too_high_ends_in_one_sentence(
    busy: TradesFetched,
) -> None:
    [newest] = busy.returned("www", count=1)
    far = newest | {"trade_seq": newest["trade_seq"] + 8_592_016, "trade_id": "far"}
    former = busy.sandbox._methods[BY_NUMBER]
    busy.sandbox._methods[BY_NUMBER] = lambda params: (
        former(params) if "start_seq" in params else {"trades": [far], "has_more": False}
    )
    before = requests(busy)
    output = reason(busy, TODAY, TODAY)
    assert output == f"trade {far['trade_seq']} was returned as the newest, but not by its number"
    assert requests(busy) - before < 40


def test_empty_responses_in_a_row_end_the_series_in_one_sentence(source: TradesFetched) -> None:
    given = [*every_minute(1, "2024-03-01T20:00", 900), *every_minute(9_000_000, "2024-03-04", 900)]
    source.sandbox.trades.give(NAME, given)
    before = requests(source)
    with pytest.raises(DeribitBadPayload, match="responses in a row have no trade, though"):
        source.fetched(DAY, DAY)
    assert requests(source) - before < 500


def test_a_plan_of_few_numbers_takes_no_request_to_confirm_it(source: TradesFetched) -> None:
    source.proved(DAY, DAY + timedelta(days=6))
    assert source.sandbox.requests[BY_TIME] == 2


def test_newer_trades_that_never_end_are_not_read_for_ever(
    source: TradesFetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a quiet instrument, each response by number has one more trade before midnight."""
    name, before = "BTC-26JAN24", date(2024, 1, 10)

    def by_number(self: Trades, host: str, params: Mapping[str, str]) -> dict[str, Any]:
        number = int(params.get("start_seq", 1))
        return {"trades": [trade(number, "2024-01-09T12:00", name)], "has_more": False}

    def by_time(self: Trades, host: str, params: Mapping[str, str]) -> dict[str, Any]:
        is_before = params["sorting"] == "desc"
        return {"trades": [trade(1, "2024-01-09T12:00", name)] if is_before else []}

    monkeypatch.setattr(Trades, "_by_number", by_number)
    monkeypatch.setattr(Trades, "_by_time", by_time)
    assert "responses in a row each had newer trades" in reason(source, before, before, name)


@pytest.mark.parametrize("number", [1, None])
def test_an_instrument_whose_only_trade_is_malformed_is_not_one_without_a_trade(
    source: TradesFetched, number: int | None
) -> None:
    only = trade(1, "2024-03-02T10:00") | {"price": None, "trade_seq": number}
    former = source.sandbox._history_methods[BY_NUMBER]

    def by_number(params: Mapping[str, str]) -> Any:
        return former(params) | {"trades": [only]}

    for methods in (source.sandbox._methods, source.sandbox._history_methods):
        methods[BY_NUMBER] = by_number
    source.sandbox.trades.give(NAME, [])
    output = reason(source, DAY, DAY)
    assert "`price`" in output or "`trade_seq`" in output


def test_an_instrument_without_a_trade_is_settled_from_its_listing_on(
    source: TradesFetched,
) -> None:
    name, listed = "BTC-26JAN24", date(2023, 11, 30)
    source.sandbox.trades.give(name, [])
    days = list(days_between(listed - timedelta(days=1), date(2024, 1, 27)))
    proved = source.proved(days[0], days[-1], name)
    assert states(proved) == ["not_listed", *["complete"] * 58, "not_listed"]
    assert sum(len(held_of(day)) for day in proved) == 0
