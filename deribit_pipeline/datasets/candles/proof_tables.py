"""The proof tables of candles, whose layout differs from that of other datasets: a gap is one
candle, a revision keeps the values in columns, and the arrival time of each candle is recorded."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from deribit_pipeline.datasets.candles.table import (
    CANDLE_ARRIVALS,
    CANDLE_DAYS,
    CANDLE_GAPS,
    CANDLE_REVISIONS,
)
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proof_tables import Noted, ProofTables, Row
from deribit_pipeline.domain.proofs import ProvedDay

_STEPS = {
    f"candles_{resolution.label}": np.timedelta64(resolution.duration, "ms")
    for resolution in Resolution
}


def _gap_rows(day: ProvedDay) -> list[Row]:
    return [(_utc(opened_at),) for opened_at in day.gaps.tolist()]


def _arrival_rows(day: ProvedDay) -> list[Row]:
    """A row for each contiguous run of candles that arrived."""
    if not len(day.arrived):
        return []
    apart = day.arrived[1:] - day.arrived[:-1]
    firsts = (np.flatnonzero(apart > _STEPS[day.proof.dataset]) + 1).tolist()
    runs = [
        day.arrived[[first, end - 1]] for first, end in pairwise([0, *firsts, len(day.arrived)])
    ]
    return [(day.proof.day, *map(_utc, run.tolist()), day.as_of) for run in runs]


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


OF_CANDLES = ProofTables(
    days=CANDLE_DAYS,
    group="resolution",
    series="instrument_name",
    gaps=Noted(CANDLE_GAPS, "opened_at", "confirmed_at"),
    revisions=Noted(CANDLE_REVISIONS, "opened_at", "replaced_at"),
    gap_rows=_gap_rows,
    gap_name="strftime(timezone('UTC', opened_at), '%H:%M')",
    gap_title="opening_times",
    gap_separator=" ",
    revised="whole.*",
    held_since="""(
        select min(arrived_at) from candle_arrivals as arrival
        where arrival.instrument_name = former.instrument_name
          and arrival.resolution = former.resolution
          and former.opened_at between first_opened_at and last_opened_at
    ), $held_from""",
    arrivals=Noted(CANDLE_ARRIVALS, "day", "arrived_at"),
    arrival_rows=_arrival_rows,
    is_of_every_version=True,
)
