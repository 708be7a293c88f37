"""The proof tables of candles, whose layout differs from that of other datasets: a gap is one
candle, a revision keeps the values in columns, and the arrival time of each candle is recorded."""

from datetime import UTC

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
from deribit_pipeline.domain.windows import from_moment64

_STEPS = {
    f"candles_{resolution.label}": np.timedelta64(resolution.duration, "ms")
    for resolution in Resolution
}


def _gap_rows(day: ProvedDay) -> list[Row]:
    return [(opened_at.replace(tzinfo=UTC),) for opened_at in day.gaps.tolist()]


def _arrival_rows(day: ProvedDay) -> list[Row]:
    """A row for each contiguous run of candles that arrived."""
    if not len(day.arrived):
        return []
    breaks = np.flatnonzero(np.diff(day.arrived) > _STEPS[day.proof.dataset])
    firsts, lasts = day.arrived[np.append(0, breaks + 1)], day.arrived[np.append(breaks, -1)]
    return [
        (day.proof.day, from_moment64(first), from_moment64(last), day.as_of)
        for first, last in zip(firsts, lasts, strict=True)
    ]


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
