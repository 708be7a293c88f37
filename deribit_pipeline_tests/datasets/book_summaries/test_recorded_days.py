"""Recorded days: what was recorded completely is stored to the last digit, the rest is reported."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.incomplete import incomplete_days
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import SettingsError
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.spooled import Recordings, stored

DAY = date(2024, 4, 9)
TODAY = date(2024, 4, 10)  # the sandbox's clock shows noon
STREAM = "book_summaries/BTC"


@pytest.fixture
def recordings(spool: Spool, sandbox: SandboxExchange) -> Recordings:
    return Recordings(spool, sandbox, "BTC", timedelta(hours=1))


@pytest.fixture
def take_in(opened: Callable[..., Exchange], warehouse: Warehouse) -> Callable[..., Outcome]:
    exchange = opened()

    def take_in(*days: date, force: bool = False) -> Outcome:
        backfill = ForegroundBackfill(exchange, warehouse)
        return backfill.backfill(BOOK_SUMMARIES, Job("a run", {"BTC": list(days)}), force=force)

    return take_in


def held(warehouse: Warehouse, day: date = DAY) -> list[tuple[object, ...]]:
    with warehouse.reading() as connection:
        return connection.execute(
            "select snapshot_at, instrument_name, bid_price, ask_price, mark_price, last_price, "
            "mark_iv, underlying_price from book_summaries "
            "where cast(timezone('UTC', snapshot_at) as date) = $day order by all",
            {"day": day},
        ).fetchall()


def state_of(outcome: Outcome, day: date = DAY) -> tuple[DayState, int, int, int]:
    proof = outcome.proofs["BTC", day]
    return proof.state, proof.expected, proof.received, proof.missing


def gaps_of(warehouse: Warehouse) -> list[str]:
    with warehouse.reading() as connection:
        found = connection.execute("select gap from dataset_gaps order by gap").fetchall()
    return [gap for (gap,) in found]


def test_a_recorded_day_is_complete_and_stored_to_the_last_digit(
    recordings: Recordings, take_in: Callable[..., Outcome], warehouse: Warehouse
) -> None:
    recordings.record(recordings.slots(DAY))
    outcome = take_in(DAY)
    assert state_of(outcome) == (DayState.COMPLETE, 24, 24, 0)
    assert outcome.proofs["BTC", DAY].verdict == ""
    rows = [row for some in recordings.taken.values() for row in some]
    assert held(warehouse) == stored(rows)
    assert verify(warehouse).findings == []


def test_missing_slots_are_named_with_the_reason_and_not_requested_again(
    recordings: Recordings,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
    clock: Clock,
) -> None:
    slots = recordings.slots(DAY)
    recordings.record(slots[:5])
    recordings.snapshot(slots[5], recordings.rows(slots[5] + timedelta(seconds=3))[1:])
    recordings.failure(slots[6])
    recordings.record(slots[9:])
    outcome = take_in(DAY)
    assert state_of(outcome) == (DayState.GAPPED, 24, 20, 4)
    assert gaps_of(warehouse) == ["2024-04-09T05:00:00Z to 2024-04-09T08:00:00Z"]
    assert outcome.proofs["BTC", DAY].verdict == (
        "2 slots not recorded: 2024-04-09T07:00:00Z to 2024-04-09T08:00:00Z; "
        "1 slot incomplete: 2024-04-09T05:00:00Z; 1 slot refused: 2024-04-09T06:00:00Z"
    )
    assert verify(warehouse).findings == []
    again = take_in(DAY)
    assert (again.requests, state_of(again)) == (0, state_of(outcome))
    clock.forward(timedelta(days=30))
    assert incomplete_days(warehouse, clock.now).days == {}


@pytest.mark.parametrize("damage", ["another currency", "cut", "stale", "twice", "malformed"])
def test_a_damaged_snapshot_is_never_stored_and_a_later_one_of_the_slot_is(
    damage: str,
    recordings: Recordings,
    spool: Spool,
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
) -> None:
    first, *slots = recordings.slots(DAY)
    recordings.record([first])
    slot = slots[0]
    at = slot + timedelta(seconds=3)
    rows = recordings.rows(at)
    bad = {
        "another currency": Recordings(spool, sandbox, "ETH").rows(at),
        "cut": rows[:-1],
        "stale": recordings.rows(slot - timedelta(seconds=1)),
        "twice": [*rows, rows[0]],
        "malformed": [rows[0] | {"mark_price": "1"}, *rows[1:]],
    }
    recordings.snapshot(slot, bad[damage])
    recordings.record(slots)
    assert state_of(take_in(DAY)) == (DayState.COMPLETE, 24, 24, 0)
    assert held(warehouse) == stored(row for some in recordings.taken.values() for row in some)


def test_a_running_day_is_open_and_ends_as_if_it_were_taken_in_once(
    recordings: Recordings,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
    clock: Clock,
) -> None:
    slots = recordings.slots(TODAY)
    recordings.record(slots[:12])
    assert state_of(take_in(TODAY), TODAY) == (DayState.OPEN, 24, 12, 0)
    recordings.record(slots[12:13])
    assert state_of(take_in(TODAY), TODAY) == (DayState.OPEN, 24, 13, 0)
    recordings.record(slots[14:])
    clock.forward(timedelta(days=1))
    outcome = take_in(TODAY)
    assert state_of(outcome, TODAY) == (DayState.GAPPED, 24, 23, 1)
    assert held(warehouse, TODAY) == stored(
        row for some in recordings.taken.values() for row in some
    )
    assert outcome.proofs["BTC", TODAY].revised == 0


def test_days_before_the_first_recording_are_refused_and_nothing_is_written(
    recordings: Recordings, take_in: Callable[..., Outcome], warehouse: Warehouse
) -> None:
    outcome = take_in(DAY)
    [reason] = outcome.failures.values()
    assert "nothing of BTC is recorded yet" in reason
    recordings.record(recordings.slots(DAY))
    outcome = take_in(date(2024, 4, 8), DAY)
    [((_, day), reason)] = outcome.failures.items()
    assert (day, "recordings of BTC begin on 2024-04-09" in reason) == (date(2024, 4, 8), True)
    assert state_of(outcome)[0] is DayState.COMPLETE
    assert len(held(warehouse, date(2024, 4, 8))) == 0


def test_a_day_between_recorded_ones_is_a_gap_as_a_whole(
    recordings: Recordings, take_in: Callable[..., Outcome], clock: Clock
) -> None:
    recordings.record(recordings.slots(DAY))
    clock.forward(timedelta(days=2))
    recordings.record(recordings.slots(date(2024, 4, 11)))
    outcome = take_in(DAY, TODAY, date(2024, 4, 11))
    assert state_of(outcome, TODAY)[0] is DayState.GAPPED
    assert state_of(outcome, TODAY)[2] == 0


@pytest.mark.parametrize(("keep_days", "is_kept"), [(0, False), (30, True)])
def test_recordings_are_removed_once_their_rows_are_proved(
    keep_days: int,
    is_kept: bool,
    settings: Settings,
    recordings: Recordings,
    warehouse: Warehouse,
) -> None:
    recordings.record(recordings.slots(DAY))
    recordings.record(recordings.slots(TODAY)[:12])
    settings = replace(settings, spool_keep=keep_days)
    with open_exchange(settings) as exchange:
        job = Job("a run", {"BTC": [DAY, TODAY]})
        ForegroundBackfill(exchange, warehouse).backfill(BOOK_SUMMARIES, job)
    kept = [DAY, TODAY] if is_kept else [TODAY]  # the running day is not over
    assert spool_of(settings).days(STREAM) == kept


def test_recordings_whose_rows_are_not_held_are_kept(
    recordings: Recordings,
    spool: Spool,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
    sandbox: SandboxExchange,
) -> None:
    slots = recordings.slots(DAY)
    recordings.record(slots[:23])
    assert state_of(take_in(DAY))[0] is DayState.GAPPED
    assert spool.days(STREAM) == []
    late = Recordings(spool, sandbox, "BTC", timedelta(hours=1))
    late.record(slots[23:])
    recordings.record(recordings.slots(TODAY)[:3])
    take_in(TODAY)
    assert spool.days(STREAM) == [DAY, TODAY]
    assert state_of(take_in(DAY, force=True)) == (DayState.COMPLETE, 24, 24, 0)
    assert spool.days(STREAM) == [TODAY]


def test_an_exchange_that_is_away_is_not_needed_where_listings_are_recorded(
    recordings: Recordings, warehouse: Warehouse, settings: Settings, take_in: object
) -> None:
    slots = recordings.slots(TODAY)
    recordings.record(recordings.slots(DAY))
    recordings.record(slots[:2])
    away = replace(settings, base_url="http://127.0.0.1:9/api/v2")
    with open_exchange(away, patience=0.1, timeout=0.5) as exchange:
        job = Job("a run", {"BTC": [DAY, TODAY]})
        outcome = ForegroundBackfill(exchange, warehouse).backfill(BOOK_SUMMARIES, job)
    # The day is whole, but no response of today shows that it is over.
    assert state_of(outcome)[2:] == (24, 0)
    assert ("BTC", TODAY) in outcome.failures  # no listing follows its last snapshot


def test_torn_and_flipped_recordings_cost_their_slots_only(
    recordings: Recordings,
    spool: Spool,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
) -> None:
    recordings.record(recordings.slots(DAY))
    recordings.close()
    files = spool.files(STREAM, DAY)
    for number, damage in ((3, "torn"), (7, "flipped")):
        content = bytearray(files[number].read_bytes())
        files[number].chmod(0o644)
        if damage == "flipped":
            content[-40] ^= 4
        files[number].write_bytes(content[:-9] if damage == "torn" else content)
    outcome = take_in(DAY)
    assert state_of(outcome) == (DayState.GAPPED, 24, 22, 2)
    assert gaps_of(warehouse) == ["2024-04-09T03:00:00Z", "2024-04-09T07:00:00Z"]
    lost = {datetime(2024, 4, 9, hour, 0, 3, tzinfo=UTC) for hour in (3, 7)}
    rows = stored(row for some in recordings.taken.values() for row in some)
    assert held(warehouse) == [row for row in rows if row[0] not in lost]


def test_a_spool_of_another_environment_is_refused_before_anything_is_written(
    settings: Settings, warehouse: Warehouse, take_in: Callable[..., Outcome]
) -> None:
    Path(settings.spool).mkdir(parents=True)
    (settings.spool / "spool.json").write_text('{"environment": "mainnet"}')
    with pytest.raises(SettingsError, match="holds recordings of mainnet"):
        take_in(DAY)
    assert not warehouse.exists()
