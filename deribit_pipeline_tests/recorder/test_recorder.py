"""The recorder over HTTP: complete snapshots in every slot, whatever the exchange does."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.domain.windows import from_ms, to_ms
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.recorder import snapshots
from deribit_pipeline.recorder.clock import Clock, slot_of
from deribit_pipeline.recorder.progress import Counts
from deribit_pipeline.recorder.snapshots import SnapshotRecorder
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import FAILURE, RESPONSE
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests import conftest
from deribit_pipeline_tests.helpers.spooled import stored

EVERY = timedelta(seconds=10)
STREAM = "book_summaries/BTC"
NOON = datetime(2026, 9, 20, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> conftest.Clock:
    return conftest.Clock(NOON)


@pytest.fixture
def spool(settings: Settings) -> Spool:
    return spool_of(replace(settings, snapshot_every=EVERY))


Record = Callable[..., Counts]


@pytest.fixture
def record(
    opened: Callable[..., Exchange], spool: Spool, clock: conftest.Clock, sandbox: SandboxExchange
) -> Record:
    """Records until a moment of the sandbox's clock, which moves while the recorder sleeps."""

    def record(until: datetime, sabotage: Callable[[], None] = lambda: None) -> Counts:
        exchange, counts = opened(patience=0.05, timeout=5.0), Counts()

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(0)
            clock.forward(timedelta(seconds=seconds))
            sabotage()
            if clock.now >= until:
                raise asyncio.CancelledError

        time = Clock(lambda: clock.now, lambda: clock.now.timestamp(), sleep)

        async def run() -> None:
            recorder = SnapshotRecorder(exchange.client, spool, "BTC", time, counts)
            with spool.recording(), contextlib.suppress(asyncio.CancelledError):
                await recorder.run()

        exchange.run(run())
        return counts

    return record


@pytest.fixture
def served(sandbox: SandboxExchange) -> list[dict[str, Any]]:
    """Every summary that the sandbox returned, before any fault."""
    served: list[dict[str, Any]] = []
    by_currency = sandbox._methods["public/get_book_summary_by_currency"]

    def noted(params: Any) -> Any:
        rows = by_currency(params)
        served.extend(rows)
        return rows

    sandbox._methods["public/get_book_summary_by_currency"] = noted
    return served


def take_in(opened: Callable[..., Exchange], warehouse: Warehouse, spool: Spool) -> Any:
    exchange = opened()
    exchange.spool = spool
    job = Job("a run", {"BTC": [NOON.date()]})
    outcome = ForegroundBackfill(exchange, warehouse).backfill(BOOK_SUMMARIES, job)
    return outcome.proofs["BTC", NOON.date()]


def held(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with warehouse.reading() as connection:
        return connection.execute(
            "select snapshot_at, instrument_name, bid_price, ask_price, mark_price, last_price, "
            "mark_iv, underlying_price from book_summaries order by all"
        ).fetchall()


def test_each_slot_has_one_snapshot_equal_to_the_exchanges_to_the_last_digit(
    record: Record,
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    spool: Spool,
    served: list[dict[str, Any]],
) -> None:
    counts = record(NOON + timedelta(seconds=60))
    assert (counts.complete, counts.incomplete, counts.lost) == (6, 0, 0)
    proof = take_in(opened, warehouse, spool)
    assert proof.received == 6
    found = held(warehouse)
    slots = [slot_of(at, EVERY) for at in sorted({row[0] for row in found})]
    assert slots == [NOON + n * EVERY for n in range(6)]
    taken = {to_ms(row[0]) for row in found if isinstance(row[0], datetime)}
    assert found == stored(row for row in served if row["creation_timestamp"] in taken)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of the recorder itself."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == snapshots.__name__ and record.levelno >= logging.WARNING
    ]


FAULTS = (
    "summaries_of_another", "summaries_lack_some", "summaries_stale", "summaries_of_two_instants",
    "summaries_twice",
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_snapshots_are_requested_again_within_the_slot(
    fault: str,
    record: Record,
    faults: Faults,
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    spool: Spool,
    served: list[dict[str, Any]],
) -> None:
    faults.corrupt_shares({fault: 0.5})
    counts = record(NOON + timedelta(seconds=120))
    faults.mend()
    attempts = [e for e in spool.entries(STREAM, NOON.date()) if "slot_ms" in e.facts]
    assert len(attempts) > counts.complete >= 9
    assert take_in(opened, warehouse, spool).received == counts.complete
    found = held(warehouse)
    assert len(found) > 1_000
    assert set(found) <= set(stored(served))


def test_an_attempt_that_is_repeated_with_success_is_no_warning(
    record: Record, clock: conftest.Clock, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def sabotage() -> None:
        is_stale = (clock.now - NOON) % EVERY < timedelta(seconds=3)
        faults.corrupt_shares({"summaries_lack_some": 1.0} if is_stale else {})

    counts = record(NOON + timedelta(seconds=40), sabotage)
    assert (counts.complete, counts.incomplete) == (4, 0)
    assert "The snapshot of BTC in the slot 12:00:10 is requested again: " in caplog.text
    assert warnings(caplog) == []


def test_an_exchange_that_is_away_stops_nothing_and_its_slots_say_so(
    record: Record,
    sandbox: SandboxExchange,
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    spool: Spool,
    clock: conftest.Clock,
    faults: Faults,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def sabotage() -> None:
        is_away = NOON + 2 * EVERY <= clock.now < NOON + 4 * EVERY
        faults.corrupt_shares({"11051": 1.0} if is_away else {})

    counts = record(NOON + timedelta(seconds=80), sabotage)
    assert (counts.complete, counts.incomplete) == (6, 2)
    assert [text.partition(": ")[0] for text in warnings(caplog)] == [
        "No complete snapshot of BTC in the slot 12:00:20",
        "No complete snapshot of BTC in the slot 12:00:30",
    ]
    away = [e.facts["slot_ms"] for e in spool.entries(STREAM, NOON.date()) if e.event == FAILURE]
    assert {from_ms(slot) for slot in away} == {NOON + 2 * EVERY, NOON + 3 * EVERY}
    assert "2 slots refused: 2026-09-20T12:00:20Z to 2026-09-20T12:00:30Z" in (
        take_in(opened, warehouse, spool).verdict
    )


def test_a_full_disk_stops_nothing(
    record: Record, spool: Spool, clock: conftest.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def full(file: int, data: bytes) -> int:
        if NOON + 2 * EVERY <= clock.now < NOON + 4 * EVERY and len(data) > 100:
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    counts = record(NOON + timedelta(seconds=60))
    assert counts.lost >= 2
    kept = [e for e in spool.entries(STREAM, NOON.date()) if e.event == RESPONSE]
    slots = {e.facts["slot_ms"] for e in kept if "slot_ms" in e.facts}
    assert slots == {to_ms(NOON + n * EVERY) for n in (0, 1, 4, 5)}


def test_the_listing_is_requested_in_each_hour_and_when_a_snapshot_does_not_fit_it(
    record: Record, spool: Spool, clock: conftest.Clock
) -> None:
    clock.now = NOON.replace(hour=7, minute=59, second=40)
    counts = record(NOON.replace(hour=8, minute=0, second=40))
    assert counts.complete == 6
    listings = [
        e.as_of for e in spool.entries(STREAM, NOON.date()) if e.facts.get("method", "")
        .endswith("get_instruments")
    ]  # fmt: skip
    assert all(at is not None for at in listings)
    assert [at.hour for at in listings if at] == [7, 8]


def test_a_restarted_recorder_goes_on_in_a_file_of_its_own(
    record: Record, opened: Callable[..., Exchange], warehouse: Warehouse, spool: Spool
) -> None:
    record(NOON + timedelta(seconds=25))
    record(NOON + timedelta(seconds=60))
    assert [file.name for file in spool.files(STREAM, NOON.date())] == ["12.gz", "12-2.gz"]
    assert take_in(opened, warehouse, spool).received == 6
