"""Candles are made again of complete trades, and held against those that the exchange tells."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from deribit_pipeline.datasets import CANDLES_REBUILT, TRADES
from deribit_pipeline.domain import DatasetProof, days_between
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.foreground import ForegroundBackfill
from deribit_pipeline.operations.jobs import Job
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse import datasets, rebuilt
from deribit_pipeline.warehouse.rules import breaches
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.pipeline import Pipeline, midnight

NAME, QUIET = "BTC-PERPETUAL", "TRX_USDC-PERPETUAL"
DAY = date(2024, 3, 2)


class Rebuilding:
    """Backfills days of trades and of candles, and makes candles of the trades."""

    def __init__(self, exchange: Exchange, pipeline: Pipeline) -> None:
        self.warehouse = pipeline.warehouse
        self._pipeline = pipeline
        self._backfill = ForegroundBackfill(exchange, self.warehouse)

    def trades(self, first: date, last: date, name: str = NAME) -> None:
        job = Job("a run", {name: list(days_between(first, last))})
        assert not self._backfill.backfill(TRADES, job, force=False).failures

    def candles(self, first: date, last: date, name: str = NAME) -> None:
        assert not self._pipeline.backfill(first, last, names=[name]).failures

    def rebuilt(self, day: date, name: str = NAME) -> DatasetProof:
        job = Job("a run", {name: [day]})
        assert not self._backfill.backfill(CANDLES_REBUILT, job, force=True).failures
        with self.warehouse.reading() as connection:
            [proof] = datasets.proofs(connection, [CANDLES_REBUILT.name], [name], day, day)
        return proof

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
    # Whether the exchange counts them in its candles, nobody has shown.
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
    assert "were never asked for" in rebuilding.failure(DAY)
    today = date(2024, 4, 10)
    rebuilding.trades(today, today)
    assert "its trades are open: `deribit-pipeline backfill" in rebuilding.failure(today)
    market = sandbox.market(sandbox._listings[NAME])
    number = market.number_of((DAY - date(1970, 1, 1)).days) + 1_000
    sandbox.trades.lack(NAME, number, number)
    rebuilding.trades(DAY, DAY)
    assert "its trades are gapped" in rebuilding.failure(DAY)


def test_a_minute_without_a_trade_repeats_the_close_of_the_day_before(
    rebuilding: Rebuilding,
) -> None:
    before = DAY - timedelta(days=1)
    rebuilding.trades(before, DAY)
    rebuilding.candles(before, DAY)
    # As if no trade had come before 00:05; the candles say so too.
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
