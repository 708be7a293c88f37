"""The source of candles that are made here: of complete days' trades, without any request."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date

import numpy as np

from deribit_pipeline.datasets import TRADES
from deribit_pipeline.domain import DatasetProof, DayState, day_window, moment64
from deribit_pipeline.errors import IncompleteTrades
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.sources.source import FailedDays
from deribit_pipeline.planning.rows import Columns, FetchedRows, count_of, some_of
from deribit_pipeline.warehouse import datasets, rebuilt
from deribit_pipeline.warehouse.file import Warehouse

_MINUTE = np.timedelta64(60_000, "ms")


class RebuiltCandles:
    """Makes the one-minute candles of an instrument's days, and says in each day's verdict how
    they compare with those that the exchange told."""

    async def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncIterator[FetchedRows | FailedDays]:
        """See Source. Days whose trades are not complete have failed, with IncompleteTrades."""
        for day in days:
            yield await asyncio.to_thread(_made, warehouse, series, day)

    def requests(self, series: str, days: Sequence[date]) -> int:
        """None."""
        return 0


def _made(warehouse: Warehouse, name: str, day: date) -> FetchedRows | FailedDays:
    with warehouse.reading() as connection:
        proofs = datasets.proofs(connection, [TRADES.name], [name], day, day)
        proof = proofs[0] if proofs else None
        if proof is None or not proof.is_settled:
            return FailedDays([day], _incomplete(name, day, proof))
        made = rebuilt.made_candles(connection, name, day)
        if proof.state is DayState.NOT_LISTED:
            nothing = some_of(made, slice(0, 0))
            return FetchedRows(name, day, nothing, proof.fetched_at, is_listed=False)
        first = rebuilt.first_number(connection, name, day)
        compared = rebuilt.comparison(connection, name, day)
    return FetchedRows(
        name, day, made, proof.fetched_at, _expected(made, day, first), verdict=_verdict(compared)
    )


def _expected(made: Columns, day: date, first_number: int | None) -> np.ndarray:
    """The minutes that there must be: those before the first trade that is known are expected
    where a trade came before it, and so has a close that nobody here knows."""
    opened_at = made["opened_at"]
    if first_number in (None, 1) or not count_of(made):
        return opened_at
    midnight = moment64(day_window(day).start)
    return np.concatenate((np.arange(midnight, opened_at[0], _MINUTE), opened_at))


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


def _incomplete(name: str, day: date, proof: DatasetProof | None) -> IncompleteTrades:
    state = f"are {proof.state}" if proof else "were never asked for"
    return IncompleteTrades(
        f"its trades {state}: `deribit-pipeline backfill --dataset {TRADES.name}` first",
        method="candles of trades",
        params={"instrument_name": name, "day": day},
    )
