"""A source's days fetched from the sandbox over HTTP, for tests of sources."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from deribit_pipeline.domain.proofs import FetchedDay, Proof, ProvedDay
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.engine.windowed_source import WindowedSource
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import Reply
from deribit_pipeline.sandbox.faults import Where
from deribit_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True, repr=False)
class Brought:
    """The results of a source for the requested days."""

    fetched: dict[date, FetchedDay]
    proved: dict[date, ProvedDay]
    failed: dict[date, DeribitError]

    def proof(self, day: date) -> Proof:
        return self.proved[day].proof


class Fetching:
    """Fetches days, each of which must be returned exactly once."""

    def __init__(self, exchange: Exchange, warehouse: Warehouse, source: WindowedSource) -> None:
        self._exchange, self._warehouse, self._source = exchange, warehouse, source

    def __call__(self, series: str, first: date, last: date | None = None) -> Brought:
        days = list(days_between(first, last or first))
        brought = self._exchange.run(self._bring(series, days))
        assert sorted([*brought.fetched, *brought.failed]) == days
        return brought

    async def _bring(self, series: str, days: list[date]) -> Brought:
        brought = Brought({}, {}, {})
        async for piece in self._source.fetch(self._exchange, self._warehouse, series, days):
            if isinstance(piece, FailedDays):
                brought.failed.update(dict.fromkeys(piece.days, piece.error))
                continue
            assert piece.day not in brought.fetched
            brought.fetched[piece.day] = piece
            brought.proved[piece.day] = prove(self._source.dataset, piece)
        return brought


def first_with(moments: Collection[int]) -> Where:
    """Matches the first response of each resolution with a row of one of these moments."""
    returned: set[tuple[int, int]] = set()

    def where(method: str, reply: Reply) -> bool:
        rows = reply.body.get("result")
        rows = rows.get("data", []) if isinstance(rows, dict) else rows or []
        stamps = [row["timestamp"] if isinstance(row, dict) else row[0] for row in rows]
        step = stamps[1] - stamps[0] if len(stamps) > 1 else 0
        new = {(moment, step) for moment in moments if moment in stamps} - returned
        returned.update(new)
        return bool(new)

    return where
