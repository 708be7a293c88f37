"""Recordings of book summaries that tests write into a spool themselves, slot by slot."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from deribit_pipeline.datasets.book_summaries.wire import BY_CURRENCY
from deribit_pipeline.domain.windows import day_window, from_ms, to_ms
from deribit_pipeline.instruments.wire import INSTRUMENTS
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import FAILURE, RESPONSE, Entry
from deribit_pipeline.spool.writer import StreamWriter

EVERY = timedelta(minutes=5)

_AFTER = timedelta(seconds=3)
"""How long after the beginning of its slot a snapshot is taken."""


class Recordings:
    """Writes what a recorder would have written of the instruments that the sandbox lists."""

    def __init__(
        self, spool: Spool, sandbox: SandboxExchange, currency: str, every: timedelta = EVERY
    ) -> None:
        self._sandbox = sandbox
        self._currency = currency
        self._every = every
        self._writer = StreamWriter(spool, f"book_summaries/{currency}")
        self._listed_in: datetime | None = None
        self.taken: dict[int, list[dict[str, Any]]] = {}

    def slots(self, day: date) -> list[datetime]:
        """The beginnings of the slots of a day."""
        start = day_window(day).start
        return [start + n * self._every for n in range(timedelta(days=1) // self._every)]

    def record(self, slots: Iterable[datetime]) -> None:
        """A complete snapshot in each slot; `taken` has its rows by instant."""
        for slot in slots:
            self.snapshot(slot, self.rows(slot + _AFTER))
            self.taken[to_ms(slot + _AFTER)] = self.rows(slot + _AFTER)

    def snapshot(self, slot: datetime, rows: list[dict[str, Any]]) -> None:
        """A response with these rows, after a listing if the hour begins."""
        hour = slot.replace(minute=0)
        if hour != self._listed_in:
            self.listing(slot, slot + timedelta(seconds=1))
            self._listed_in = hour
        facts = self._facts(slot) | {"received_us": to_ms(slot + 1.05 * _AFTER) * 1_000}
        self._write(slot, Entry(RESPONSE, slot + _AFTER, slot + _AFTER, facts, _body(rows)))

    def failure(self, slot: datetime) -> None:
        """A request without a response."""
        self._write(slot, Entry(FAILURE, slot, None, self._facts(slot) | {"reason": "away"}))

    def listing(self, slot: datetime, as_of: datetime) -> None:
        """The listing of an instant."""
        entries = [each.result(to_ms(as_of)) for each in self._listed(as_of)]
        facts = {"method": INSTRUMENTS, "params": {"currency": self._currency}}
        self._write(slot, Entry(RESPONSE, as_of, as_of, facts, _body(entries)))

    def rows(self, at: datetime) -> list[dict[str, Any]]:
        """The summaries of an instant, whose values are different in each row."""
        at_ms = to_ms(at)
        return [
            _row(listing, at_ms, number) for number, listing in enumerate(self._listed(at), start=1)
        ]

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _listed(self, at: datetime) -> list[Listing]:
        return [
            listing
            for listing in self._sandbox.listings()
            if listing.settlement_currency == self._currency
            and listing.created_ms < to_ms(at) < listing.expires_ms
        ]

    def _facts(self, slot: datetime) -> dict[str, Any]:
        every_ms = self._every // timedelta(milliseconds=1)
        return {
            "method": BY_CURRENCY,
            "params": {"currency": self._currency},
            "slot_ms": to_ms(slot),
            "every_ms": every_ms,
        }

    def _write(self, slot: datetime, entry: Entry) -> None:
        self._writer.write(slot, [entry])


def _row(listing: Listing, at_ms: int, number: int) -> dict[str, Any]:
    value = number + (at_ms % 86_400_000) / 86_400_000
    is_option = listing.kind == "option"
    row = {
        "instrument_name": listing.instrument_name,
        "creation_timestamp": at_ms,
        "bid_price": None if number % 3 == 0 else value,
        "ask_price": value + 0.5,
        "mark_price": value + 0.1,
        "last": None if number % 5 == 0 else value,
        "open_interest": 10 * value,
        "volume": value / 7,
        "estimated_delivery_price": 65_000.5,
        "base_currency": "BTC",
    }
    if is_option:
        row |= {
            "mark_iv": 50 + value / 10, "underlying_price": 65_000 + value,
            "underlying_index": "SYN.BTC-12APR24", "interest_rate": 0.0,
        }  # fmt: skip
    return row


def _body(result: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": result, "usIn": 1, "usOut": 2})


def stored(rows: Iterable[dict[str, Any]]) -> list[tuple[object, ...]]:
    """These summaries as the table has them: instant, name, bid, ask, mark, last, IV, forward."""
    names = ("bid_price", "ask_price", "mark_price", "last", "mark_iv", "underlying_price")
    return sorted(
        (
            from_ms(row["creation_timestamp"]).astimezone(UTC),
            row["instrument_name"],
            *(None if row.get(name) is None else float(row[name]) for name in names),
        )
        for row in rows
    )
