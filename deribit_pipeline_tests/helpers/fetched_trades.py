"""The source of trades against the sandbox over HTTP, for tests that compare both."""

from collections.abc import AsyncGenerator, Sequence
from datetime import date
from typing import Any

from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.trades.source import TradesSource
from deribit_pipeline.domain.proofs import FetchedDay, ProvedDay
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.pipeline import ms as minute_ms

NAME = "BTC-PERPETUAL"
TODAY = date(2024, 4, 10)


class TradesFetched:
    """Fetches trades, and reads the sandbox's own."""

    def __init__(self, exchange: Exchange, warehouse: Warehouse, sandbox: SandboxExchange) -> None:
        self.exchange, self._warehouse, self.sandbox = exchange, warehouse, sandbox

    def fetching(
        self, days: Sequence[date], name: str = NAME
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        return TradesSource().fetch(self.exchange, self._warehouse, name, days)

    def fetched(
        self, first: date, last: date, name: str = NAME
    ) -> dict[date, FetchedDay | FailedDays]:
        each = self.fetched_each(first, last, name)
        assert {len(pieces) for pieces in each.values()} <= {1}
        return {day: pieces[0] for day, pieces in each.items()}

    def fetched_each(
        self, first: date, last: date, name: str = NAME
    ) -> dict[date, list[FetchedDay | FailedDays]]:
        """The results of each day, in order: a fetched day may fail later."""

        async def fetch() -> list[FetchedDay | FailedDays]:
            return [piece async for piece in self.fetching(list(days_between(first, last)), name)]

        found: dict[date, list[FetchedDay | FailedDays]] = {}
        for piece in self.exchange.run(fetch()):
            for day in piece.days if isinstance(piece, FailedDays) else [piece.day]:
                found.setdefault(day, []).append(piece)
        return found

    def proved(self, first: date, last: date, name: str = NAME) -> list[ProvedDay]:
        pieces = [piece for _, piece in sorted(self.fetched(first, last, name).items())]
        assert not [piece.error for piece in pieces if isinstance(piece, FailedDays)]
        return [prove(TRADES, piece) for piece in pieces if isinstance(piece, FetchedDay)]

    def numbers(self, day: date, name: str = NAME) -> range:
        """The numbers of a day's trades."""
        market = self.sandbox.market(self.sandbox._listings[name])
        number = (day - date(1970, 1, 1)).days
        return range(market.number_of(number), market.number_of(number + 1))

    def returned(self, host: str, name: str = NAME, **requested: object) -> list[dict[str, Any]]:
        """The trades of a response with the maximum count."""
        most = 10_000 if host == "history" else 1_000
        params = {"instrument_name": name, "count": most} | requested
        reply = self.sandbox.answer(
            "public/get_last_trades_by_instrument",
            {key: str(value) for key, value in params.items()},
            of_history=host == "history",
        )
        trades: list[dict[str, Any]] = reply.body["result"]["trades"]
        return trades


def ms(day: date) -> int:
    """Midnight, in UTC milliseconds."""
    return minute_ms(day, 0)


def states(proved: Sequence[ProvedDay]) -> list[str]:
    return [str(day.proof.state) for day in proved]


def held_of(proved: ProvedDay) -> list[int]:
    numbers: list[int] = proved.rows["trade_seq"].tolist()
    return numbers
