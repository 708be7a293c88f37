"""A warehouse of proofs without candles: enough for what reads proofs alone."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deribit_pipeline.domain import (
    Candles,
    DayProof,
    DayState,
    Environment,
    ProvedDay,
    Resolution,
)
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.writes import Provenance, write_days

FIRST = date(2018, 8, 14)


def write_proofs(path: Path, names: list[str], days: int) -> None:
    """Write a proof of a complete day for each of these days and instruments."""
    source = Provenance(Environment.SANDBOX, "made up", "no run")
    nothing, now = Candles.none(), datetime.now(UTC)
    with Warehouse(path, Environment.SANDBOX).writing() as connection:
        for name in names:
            proofs = (
                DayProof(
                    name, Resolution.MINUTE_1, FIRST + timedelta(days=n), DayState.COMPLETE,
                    1_440, 1_440, 0, 100, "made up", 0, now,
                )
                for n in range(days)
            )  # fmt: skip
            write_days(
                connection,
                [ProvedDay(proof, nothing, nothing.opened_at, nothing, now) for proof in proofs],
                {},
                source,
            )
