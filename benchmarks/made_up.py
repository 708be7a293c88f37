"""Warehouses with synthetic days, to measure what does not depend on the exchange."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import DayState, FetchedDay, Proof, ProvedDay, Provenance
from deribit_pipeline.engine.day_writes import write_days
from deribit_pipeline.sandbox.market import DAY, Market
from deribit_pipeline.warehouse.warehouse import Warehouse

MINUTES = CANDLES[Resolution.MINUTE_1]
FIRST = date(2018, 8, 14)
FETCHED_AT = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = Provenance(Environment.SANDBOX, "made up", "no run")


def write_proofs(path: Path, names: list[str], days: int) -> None:
    """Write a proof of a complete day for each of these days and instruments."""
    nothing, now = Candles.none(), datetime.now(UTC)
    none = nothing.opened_at
    with Warehouse(path, Environment.SANDBOX).writing() as connection:
        for name in names:
            proofs = (
                Proof(
                    MINUTES.name, name, FIRST + timedelta(days=n), DayState.COMPLETE,
                    1_440, 1_440, 0, "made up", 0, "", now,
                )
                for n in range(days)
            )  # fmt: skip
            write_days(
                connection,
                MINUTES,
                [
                    ProvedDay(proof, nothing.columns, none, none, none, nothing.columns, None, now)
                    for proof in proofs
                ],
                SOURCE,
            )


def fetched_day(market: Market, day: date) -> FetchedDay:
    """The minutes of a day, as a backfill passes them to the proof."""
    start = int(np.datetime64(day, "ms").astype(int))
    rows = market.minutes(start, start + DAY)
    candles = Candles(rows.ticks.astype("datetime64[ms]"), rows.values)
    name = market.listing.instrument_name
    return FetchedDay(name, day, candles.columns, FETCHED_AT, candles.opened_at)
