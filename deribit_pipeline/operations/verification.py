"""Every proof once more: recomputed from the rows that are stored now."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from deribit_pipeline.domain import DayProof, Resolution, TimeWindow, day_window, moment64
from deribit_pipeline.planning.days import contradictions
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse

# Days read at once: 5 MB of one-minute candles.
_READ_AT_ONCE = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Finding:
    """A day of which two things that should say the same do not, and in what: its stored rows and
    its proof, or the proofs of two warehouses."""

    instrument_name: str
    resolution: Resolution
    day: date
    contradictions: list[str]


@dataclass(slots=True)
class Verification:
    """How much was recomputed, and what no longer matches."""

    days: int
    candles: int
    findings: list[Finding]


def verify(
    warehouse: Warehouse,
    *,
    instrument_names: Collection[str] = (),
    resolution: Resolution | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Verification:
    """Recompute the proofs of every day that fits. Reads all of their candles."""
    result = Verification(0, 0, [])
    # Piece by piece, because nobody can write while a connection is open.
    with warehouse.reading() as connection:
        fits = (instrument_names, resolution, first, last)
        proofs = reads.proofs(connection, *fits)
        without_proof = reads.days_without_proof(connection, *fits)
    for piece in _read_together(proofs):
        series = (piece[0].instrument_name, piece[0].resolution)
        window = TimeWindow(day_window(piece[0].day).start, day_window(piece[-1].day).end)
        with warehouse.reading() as connection:
            candles = reads.candles(connection, *series, window)
            gaps = reads.gaps_by_day(connection, *series, window)
        result.days += len(piece)
        result.candles += len(candles)
        before = None
        for proof in piece:
            day = day_window(proof.day)
            rows = slice(*candles.opened_at.searchsorted([moment64(day.start), moment64(day.end)]))
            found = contradictions(proof, candles[rows], gaps.get(proof.day, 0))
            if proof.day == before:
                found.append("the day has two proofs")
            before = proof.day
            if found:
                result.findings.append(Finding(*series, proof.day, found))
    for name, spelling, day_without, count in without_proof:
        result.findings.append(
            Finding(name, Resolution(spelling), day_without, [f"{count} candles have no proof"])
        )
    return result


def _read_together(proofs: list[DayProof]) -> Iterator[list[DayProof]]:
    """The proofs, sorted as they come, in pieces of one series that are near in time."""
    piece: list[DayProof] = []
    for proof in proofs:
        if piece and (
            (piece[0].instrument_name, piece[0].resolution)
            != (proof.instrument_name, proof.resolution)
            or proof.day - piece[0].day >= _READ_AT_ONCE
        ):
            yield piece
            piece = []
        piece.append(proof)
    if piece:
        yield piece
