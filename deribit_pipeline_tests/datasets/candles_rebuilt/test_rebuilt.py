"""Candles are rebuilt from complete trades, and compared with the candles that the exchange
publishes."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from deribit_pipeline.datasets.candles_rebuilt import CANDLES_REBUILT
from deribit_pipeline.datasets.candles_rebuilt import rules as rebuilt
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.wire import trades
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import FetchedDay, Proof, Provenance
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.breaches import breaches
from deribit_pipeline.engine.incomplete import incomplete_days
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.proved_days import DayWriter
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline_tests.conftest import Clock, recorded
from deribit_pipeline_tests.helpers.pipeline import Pipeline, midnight

NAME, QUIET = "BTC-PERPETUAL", "TRX_USDC-PERPETUAL"
RARE = "BTC-27SEP24"
DAY = date(2024, 3, 2)
HOUR = timedelta(hours=1)
RETURNED_AT = datetime(2024, 4, 9, tzinfo=UTC)
ONE_TRADE = trades({"trades": recorded("trades_instrument")["trades"][:1]}, NAME, 1)


class Rebuilding:
    """Backfills days of trades and of candles, and makes candles of the trades."""

    def __init__(self, exchange: Exchange, pipeline: Pipeline) -> None:
        self.warehouse = pipeline.warehouse
        self._pipeline = pipeline
        self._backfill = ForegroundBackfill(exchange, self.warehouse)

    def trades(self, first: date, last: date, name: str = NAME, *, force: bool = False) -> None:
        job = Job("a run", {name: list(days_between(first, last))})
        assert not self._backfill.backfill(TRADES, job, force=force).failures

    def candles(self, first: date, last: date, name: str = NAME) -> None:
        assert not self._pipeline.backfill(first, last, names=[name]).failures

    def rebuilt(self, day: date, name: str = NAME) -> Proof:
        job = Job("a run", {name: [day]})
        assert not self._backfill.backfill(CANDLES_REBUILT, job, force=True).failures
        with self.warehouse.reading() as connection:
            [proof] = proofs_of(connection, CANDLES_REBUILT, [name], day, day)
        return proof

    def states(self, first: date, last: date, name: str = NAME) -> list[str]:
        """The proofs of the candles of these days."""
        with self.warehouse.reading() as connection:
            proofs = proofs_of(connection, CANDLES_REBUILT, [name], first, last)
        return [str(proof.state) for proof in proofs]

    def quiet(self, first: date, *traded: int, number: int = 1_000) -> None:
        """Stores complete days of an instrument with this many trades a day, by number."""
        for place, count in enumerate(traded):
            day = first + timedelta(days=place)
            numbers = np.arange(number, number + count)
            number += count
            rows = {name: np.resize(values, count) for name, values in ONE_TRADE.items()}
            rows["trade_seq"] = numbers
            noon = np.datetime64(f"{day}T12:00", "ms")
            rows["traded_at"] = noon + np.arange(count) * np.timedelta64(60_000, "ms")
            rows["price"] = numbers.astype(float)
            returned = FetchedDay(
                RARE, day, rows, RETURNED_AT + place * HOUR, numbers, is_confirmed=True
            )
            book = DayWriter(TRADES, lambda run_id: Provenance(Environment.SANDBOX, "", run_id))
            with self.warehouse.writing() as connection:
                book.write(connection, "a run", RARE, [returned])

    def failure(self, day: date, name: str = NAME) -> str:
        job = Job("a run", {name: [day]})
        outcome = self._backfill.backfill(CANDLES_REBUILT, job, force=True)
        [failure] = outcome.failures.values()
        return failure

    def differing(self) -> list[tuple[str, ...]]:
        """The breaches of the rule for the asset's check."""
        with self.warehouse.reading() as connection:
            return breaches(connection, rebuilt.AGREES, {}).first

    def change(self, statement: str) -> None:
        with self.warehouse.writing() as connection:
            connection.execute(statement)


@pytest.fixture
def rebuilding(opened: Callable[..., Exchange], pipeline: Pipeline) -> Rebuilding:
    return Rebuilding(opened(), pipeline)


@pytest.mark.parametrize("name", [NAME, "ETH-PERPETUAL", "SOL_USDC-PERPETUAL", QUIET])
def test_candles_of_complete_trades_are_the_exchanges(rebuilding: Rebuilding, name: str) -> None:
    rebuilding.trades(DAY, DAY, name)
    rebuilding.candles(DAY, DAY, name)
    proof = rebuilding.rebuilt(DAY, name)
    assert proof.verdict == "agrees with 1,440 candles"
    assert (proof.state, proof.received) == ("complete", 1_440)
    assert rebuilding.differing() == []


def test_without_candles_there_is_nothing_to_compare(rebuilding: Rebuilding) -> None:
    rebuilding.trades(DAY, DAY)
    assert rebuilding.rebuilt(DAY).verdict == "no candles held to compare"


def test_a_candle_that_differs_is_named_with_both_values(rebuilding: Rebuilding) -> None:
    rebuilding.trades(DAY, DAY)
    rebuilding.candles(DAY, DAY)
    rebuilding.change(
        "update candles set high = high + 0.5, volume_base = volume_base + 1 "
        f"where opened_at = '{DAY} 00:07:00+00'"
    )
    proof = rebuilding.rebuilt(DAY)
    assert proof.verdict.startswith("differs from the exchange's in 1 of 1,440 candles")
    assert "first 00:07, high " in proof.verdict
    assert proof.state == "complete"
    [(name, opened_at, differences)] = rebuilding.differing()
    assert (name, opened_at) == (NAME, f"{DAY} 00:07:00+00")
    assert differences.startswith("high ")
    assert "; volume_base " in differences


def test_a_difference_within_the_rounding_is_none(rebuilding: Rebuilding) -> None:
    rebuilding.trades(DAY, DAY)
    rebuilding.candles(DAY, DAY)
    rebuilding.change("update candles set volume_base = volume_base + 1e-8")
    assert rebuilding.rebuilt(DAY).verdict == "agrees with 1,440 candles"


@pytest.mark.parametrize("column", ["block_trade_id", "combo_id"])
def test_block_trades_and_combos_may_be_counted_or_not(rebuilding: Rebuilding, column: str) -> None:
    # Whether the exchange counts them in its candles is undocumented.
    rebuilding.trades(DAY, DAY)
    rebuilding.candles(DAY, DAY)
    rebuilding.change(
        "insert into trades select * replace (trade_seq + 1000000000 as trade_seq, "
        f"price * 2 as price, 'it' as {column}) from trades "
        "where date_part('minute', traded_at) = 30"
    )
    assert rebuilding.rebuilt(DAY).verdict == "agrees with 1,440 candles"
    assert rebuilding.differing() == []


def test_trades_that_are_not_complete_make_no_candles(
    rebuilding: Rebuilding, sandbox: SandboxExchange
) -> None:
    assert "were never requested" in rebuilding.failure(DAY)
    today = date(2024, 4, 10)
    rebuilding.trades(today, today)
    assert "its trades are open: `deribit-pipeline backfill" in rebuilding.failure(today)
    market = sandbox.market(sandbox._listings[NAME])
    number = market.number_of((DAY - date(1970, 1, 1)).days) + 1_000
    sandbox.trades.omit(NAME, number, number)
    rebuilding.trades(DAY, DAY)
    assert "its trades are gapped" in rebuilding.failure(DAY)


def test_a_minute_without_a_trade_repeats_the_close_of_the_day_before(
    rebuilding: Rebuilding,
) -> None:
    before = DAY - timedelta(days=1)
    rebuilding.trades(before, DAY)
    rebuilding.candles(before, DAY)
    # As if there were no trade before 00:05; the candles agree.
    first_five = f"{{}} >= '{DAY} 00:00:00+00' and {{}} < '{DAY} 00:05:00+00'"
    rebuilding.change(f"delete from trades where {first_five.format('traded_at', 'traded_at')}")
    rebuilding.change(
        "update candles set open = last.close, high = last.close, low = last.close, "
        "close = last.close, volume_base = 0, volume_quote = 0 "
        f"from (select close from candles where opened_at = '{before} 23:59:00+00') as last "
        f"where {first_five.format('opened_at', 'opened_at')}"
    )
    assert rebuilding.rebuilt(DAY).verdict == "agrees with 1,440 candles"
    with rebuilding.warehouse.reading() as connection:
        first = connection.execute(
            "select trades from candles_rebuilt order by opened_at limit 5"
        ).fetchall()
    assert first == [(0,)] * 5


def test_minutes_whose_former_close_is_not_held_are_gaps(rebuilding: Rebuilding) -> None:
    rebuilding.trades(DAY, DAY)
    rebuilding.change(f"delete from trades where traded_at < '{DAY} 00:05:00+00'")
    assert rebuilding.rebuilt(DAY).state == "gapped"
    with rebuilding.warehouse.reading() as connection:
        gaps = connection.execute("select gap, missing from dataset_gaps").fetchall()
    assert gaps == [(f"{DAY}T00:00:00Z to {DAY}T00:04:00Z", 5)]


def test_a_day_without_trades_whose_former_close_is_not_held_is_a_gap(
    rebuilding: Rebuilding,
) -> None:
    rebuilding.quiet(DAY, 0)
    proof = rebuilding.rebuilt(DAY, RARE)
    assert (proof.state, proof.expected, proof.received) == ("gapped", 1_440, 0)
    before = DAY - timedelta(days=1)
    rebuilding.quiet(before, 3)
    proof = rebuilding.rebuilt(DAY, RARE)
    assert (proof.state, proof.expected, proof.received) == ("complete", 1_440, 1_440)


@pytest.mark.parametrize("state", ["not_listed", "complete"])
def test_a_day_before_the_first_trade_has_no_candles_where_that_is_proved(
    rebuilding: Rebuilding, state: str
) -> None:
    before = DAY - timedelta(days=1)
    rebuilding.quiet(before, 0, 0)
    rebuilding.change(f"update dataset_days set state = '{state}' where day = '{before}'")
    proof = rebuilding.rebuilt(DAY, RARE)
    is_proved = state == "not_listed"
    assert (proof.state, proof.expected) == (("complete", 0) if is_proved else ("gapped", 1_440))
    rebuilding.quiet(DAY + timedelta(days=1), 2, number=1)
    proof = rebuilding.rebuilt(DAY, RARE)
    assert (proof.state, proof.expected) == ("complete", 0)


def test_trades_that_are_revised_make_their_candles_open_and_those_that_follow_from_them(
    rebuilding: Rebuilding,
) -> None:
    first, last = DAY, DAY + timedelta(days=4)
    rebuilding.quiet(first, 2, 0, 0, 2, 2)
    for day in days_between(first, last):
        rebuilding.rebuilt(day, RARE)
    assert rebuilding.states(first, last, RARE) == ["gapped", *["complete"] * 4]
    rebuilding.quiet(first, 2, 0, 0, 2, 2)  # the same once more
    assert rebuilding.states(first, last, RARE) == ["gapped", *["complete"] * 4]
    rebuilding.change("update trades set price = price + 1 where trade_seq = 1001")
    rebuilding.quiet(first, 2)
    assert rebuilding.states(first, last, RARE) == [*["open"] * 4, "complete"]
    for day in days_between(first, last):
        rebuilding.rebuilt(day, RARE)
    assert rebuilding.states(first, last, RARE) == ["gapped", *["complete"] * 4]
    rebuilding.quiet(first + timedelta(days=3), 3, number=1_002)  # one more than was held
    assert rebuilding.states(first, last, RARE) == ["gapped", *["complete"] * 2, *["open"] * 2]


def test_candles_of_revised_trades_are_made_again_and_say_what_these_say(
    rebuilding: Rebuilding,
) -> None:
    rebuilding.trades(DAY, DAY)
    rebuilding.rebuilt(DAY)
    rebuilding.change("update trades set price = price * 2")
    rebuilding.change("update candles_rebuilt set high = high * 2")
    rebuilding.trades(DAY, DAY, force=True)
    assert rebuilding.states(DAY, DAY) == ["open"]
    with rebuilding.warehouse.reading() as connection:
        assert incomplete_days(rebuilding.warehouse, RETURNED_AT).days[CANDLES_REBUILT] == {
            NAME: [DAY]
        }
    rebuilding.rebuilt(DAY)
    with rebuilding.warehouse.reading() as connection:
        [(high, price)] = connection.execute(
            "select (select max(high) from candles_rebuilt), (select max(price) from trades)"
        ).fetchall()
    assert high == price
    assert rebuilding.states(DAY, DAY) == ["complete"]


def test_a_day_on_which_it_expires_has_candles_until_then(
    rebuilding: Rebuilding, clock: Clock
) -> None:
    expiry, name = date(2024, 1, 5), "BTC-5JAN24"
    clock.now = midnight(expiry + timedelta(days=3))
    rebuilding.trades(expiry, expiry + timedelta(days=1), name)
    rebuilding.candles(expiry, expiry, name)
    assert rebuilding.rebuilt(expiry, name).verdict == "agrees with 480 candles"
    after = rebuilding.rebuilt(expiry + timedelta(days=1), name)
    assert (after.state, after.received) == ("not_listed", 0)


def test_a_day_of_listing_has_candles_from_the_first_trade_on(rebuilding: Rebuilding) -> None:
    listed = date(2018, 8, 14)
    rebuilding.trades(listed, listed)
    rebuilding.candles(listed, listed)
    proof = rebuilding.rebuilt(listed)
    assert (proof.state, proof.received) == ("complete", 816)
    assert proof.verdict == "agrees with 816 candles"
