"""The source of rebuilt candles: from the trades of complete days, without any request."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import date

from deribit_pipeline.datasets.candles_rebuilt import former_trades
from deribit_pipeline.datasets.candles_rebuilt import made as rebuilt
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.proofs import CrossCheck, DayState, FetchedDay, Proof
from deribit_pipeline.domain.rows import count_of, some_of
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.source import FailedDays, SeriesSource
from deribit_pipeline.errors import IncompleteTrades
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse


class RebuiltCandles(SeriesSource):
    """Rebuilds the one-minute candles of an instrument's days, and reports in each day's verdict
    how they compare with the published ones."""

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """See Source. Days whose trades are not complete fail with IncompleteTrades."""
        for day in days:
            yield await asyncio.to_thread(_made, warehouse, series, day)

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """None."""
        return 0


def _made(warehouse: Warehouse, name: str, day: date) -> FetchedDay | FailedDays:
    with warehouse.reading() as connection:
        proofs = proofs_of(connection, TRADES, [name], day, day)
        proof = proofs[0] if proofs else None
        if proof is None or not proof.is_settled:
            return FailedDays([day], _incomplete(name, day, proof))
        made = rebuilt.made_candles(connection, name, day)
        if proof.state is DayState.NOT_LISTED:
            nothing = some_of(made, slice(0, 0))
            return FetchedDay(
                name, day, nothing, proof.fetched_at, nothing["opened_at"], is_listed=False
            )
        # Minutes before the first known trade are expected too, unless it is the first of all: they
        # repeat a close that is not stored.
        is_first = former_trades.is_first(connection, name, day)
        expected = made["opened_at"] if is_first else rebuilt.minutes(connection, name, day)
        compared = rebuilt.comparison(connection, name, day)
        as_of = former_trades.known_at(connection, name, day)
    return FetchedDay(
        name,
        day,
        made,
        as_of,
        expected,
        verdict=_verdict(compared),
        cross_check=_cross_check(compared, count_of(made)),
    )


def _cross_check(compared: rebuilt.Comparison, made: int) -> CrossCheck:
    if compared.differing:
        return CrossCheck.DISAGREES
    return CrossCheck.AGREES if 0 < made == compared.compared else CrossCheck.NONE


def _verdict(compared: rebuilt.Comparison) -> str:
    if not compared.compared:
        return "no candles held to compare"
    if not compared.differing:
        return f"agrees with {compared.compared:,} candles"
    minute, differences = compared.differing[0]
    return (
        f"differs from the exchange's in {len(compared.differing):,} of {compared.compared:,} "
        f"candles: first {minute}, {differences}"
    )


def _incomplete(name: str, day: date, proof: Proof | None) -> IncompleteTrades:
    state = f"are {proof.state}" if proof else "were never requested"
    return IncompleteTrades(
        f"its trades {state}: `deribit-pipeline backfill` them first",
        method="candles of trades",
        params={"instrument_name": name, "day": day},
    )


SOURCE = RebuiltCandles()
