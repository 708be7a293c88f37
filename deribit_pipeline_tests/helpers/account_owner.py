"""The owner of an account: fetches its history from the sandbox, and reads what really happened."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from deribit_pipeline.datasets.account import SETTLEMENT_HISTORY, TRANSACTION_LOG, USER_TRADES
from deribit_pipeline.datasets.account import wire as methods
from deribit_pipeline.datasets.account.source import AccountSource
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.opening import open_exchange, warehouse_at
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.pipeline import ms

BUSY = date(2024, 3, 10)
"""A day on which the sandbox's account trades about 260 times in BTC."""

Result = dict[str, Any]
Spoil = Callable[[Result], Result]


class Owner:
    """Fetches days of the account."""

    def __init__(self, settings: Settings, exchange: Exchange, sandbox: SandboxExchange) -> None:
        self.settings, self.exchange, self.sandbox = settings, exchange, sandbox
        self._warehouse = warehouse_at(settings.warehouse, settings.environment)

    def pieces(
        self, source: AccountSource, first: date, last: date | None = None, currency: str = "BTC"
    ) -> list[FetchedDay | FailedDays]:
        """All days that a source yields."""

        async def brought() -> list[FetchedDay | FailedDays]:
            days = list(days_between(first, last or first))
            fetched = source.fetch(self.exchange, self._warehouse, currency, days)
            return [piece async for piece in fetched]

        return self.exchange.run(brought())

    def days(
        self, source: AccountSource, first: date, last: date | None = None, currency: str = "BTC"
    ) -> list[FetchedDay]:
        """The days. Fails if one of them failed."""
        pieces = self.pieces(source, first, last, currency)
        days = [piece for piece in pieces if isinstance(piece, FetchedDay)]
        assert len(days) == len(pieces), pieces
        return days

    def failure(self, source: AccountSource, day: date) -> FailedDays:
        """The day that failed."""
        (piece,) = self.pieces(source, day)
        assert isinstance(piece, FailedDays)
        return piece

    def lived(
        self, source: AccountSource, first: date, last: date | None = None, currency: str = "BTC"
    ) -> list[str]:
        """The account's events up to now, in the form of `told`."""
        now = self.sandbox.now_ms()
        account = self.sandbox.account.until(now)
        history = {
            TRANSACTION_LOG: account.entries,
            USER_TRADES: account.trades,
            SETTLEMENT_HISTORY: account.settlements,
        }[source.dataset]
        start, end = ms(first, 0), min(ms(last or first, 1_440), now + 1)
        return [
            json.dumps(row, sort_keys=True)
            for row in history[currency]
            if start <= row["timestamp"] < end
        ]


@contextmanager
def owner_of(settings: Settings, sandbox: SandboxExchange) -> Iterator[Owner]:
    """The owner of the sandbox's account."""
    settings = replace(settings, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    with open_exchange(settings, 5.0) as exchange:
        pools = dict(exchange.client.rpc._pools)
        # The machine's rate limit of the transaction log would allow eight calls for all tests.
        exchange.client.rpc._pools = pools | {methods.LOG: pools[""]}
        yield Owner(settings, exchange, sandbox)


def corrupt(sandbox: SandboxExchange, method: str, changes: Sequence[Spoil | None]) -> None:
    """Change the next responses of a method, one change each, and none afterwards."""
    returned, left = sandbox._methods[method], list(changes)

    def corrupted(params: Any) -> Any:
        change = left.pop(0) if left else None
        result = returned(params)
        return change(result) if change else result

    sandbox._methods[method] = corrupted


def requested(sandbox: SandboxExchange, method: str) -> list[dict[str, str]]:
    """Records the parameters of the calls of a method from now on."""
    returned, found = sandbox._methods[method], list[dict[str, str]]()

    def noted(params: Any) -> Any:
        found.append(dict(params))
        return returned(params)

    sandbox._methods[method] = noted
    return found


def later(clock: Clock, by: timedelta) -> Spoil:
    """The response is unchanged, but the clock moves on afterwards."""

    def corrupted(result: Result) -> Result:
        clock.forward(by)
        return result

    return corrupted


def without(name: str, which: int) -> Spoil:
    return lambda result: (
        result
        | {name: [row for n, row in enumerate(result[name]) if n != which % len(result[name])]}
    )


def returned_in(days: Sequence[FetchedDay]) -> list[str]:
    """Every row that was fetched, as returned by the exchange."""
    texts = np.concatenate([day.rows["told"] for day in days]).tolist()
    return [json.dumps(json.loads(text)) for text in texts]


def first_row(name: str, **change: Any) -> Spoil:
    """Changes the first row."""
    return lambda result: result | {name: [result[name][0] | change, *result[name][1:]]}


def every_row(name: str, **change: Any) -> Spoil:
    """Changes every row."""
    return lambda result: result | {name: [row | change for row in result[name]]}
