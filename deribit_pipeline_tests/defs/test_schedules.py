"""Schedules request the days that need it, depending on the time and on the stored days."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.lake_maintenance import maintenance_schedule
from deribit_pipeline.defs.schedules import CRONS, spans
from deribit_pipeline.domain.location import Lake
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.windows import to_ms
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.pipeline import CHART, Pipeline, ms
from deribit_pipeline_tests.helpers.recorded_trades import (
    LATENCY_MS,
    TradeRecording,
    frames_of,
    published_on,
)

NAMES = ("BTC-PERPETUAL", "ETH-PERPETUAL")
START, END = (f"dagster/asset_partition_range_{end}" for end in ("start", "end"))


class Ticks:
    """Evaluates schedules at a moment, and executes the runs that they request."""

    def __init__(self, settings: Settings) -> None:
        self._location = build_definitions(settings)

    def at(self, name: str, now: datetime) -> list[dg.RunRequest]:
        schedule = self._location.resolve_schedule_def(name)
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_schedule_context(instance, scheduled_execution_time=now)
            requested = list(schedule(context))
        assert len(requested) == 1 or not any(isinstance(one, dg.SkipReason) for one in requested)
        return [one for one in requested if isinstance(one, dg.RunRequest)]

    def run(
        self,
        requests: Sequence[dg.RunRequest],
        asset: str = "candles_1m",
        instance: dg.DagsterInstance | None = None,
    ) -> None:
        job = self._location.resolve_implicit_global_asset_job_def()
        for request in requests:
            opened = nullcontext(instance) if instance else dg.DagsterInstance.ephemeral()
            with opened as of_run:
                result = job.execute_in_process(
                    instance=of_run,
                    asset_selection=[dg.AssetKey(asset)],
                    tags=request.tags,
                    run_config={**request.run_config, "loggers": QUIET},
                )
            assert result.success


QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


@pytest.fixture
def ticks(settings: Settings) -> Ticks:
    return Ticks(settings)


def ranges(requests: Sequence[dg.RunRequest]) -> list[tuple[str, str, bool]]:
    """The first and last key of each run, and whether it requests settled days again."""
    found = []
    for request in requests:
        [op] = request.run_config["ops"].values()
        found.append((request.tags[START], request.tags[END], op["config"]["force"]))
    return found


@pytest.mark.parametrize(
    ("now", "today"),
    [
        (datetime(2024, 3, 1, 0, 10, tzinfo=UTC), "2024-03-01"),
        (datetime(2024, 2, 29, 23, 10, tzinfo=UTC), "2024-02-29"),
        (datetime(2024, 1, 1, 0, 10, tzinfo=UTC), "2024-01-01"),
        (datetime(2023, 12, 31, 23, 10, tzinfo=UTC), "2023-12-31"),
    ],
)
def test_every_hour_today_is_requested(ticks: Ticks, now: datetime, today: str) -> None:
    [run] = ticks.at("candles_hourly", now)
    assert ranges([run]) == [(f"BTC-PERPETUAL|{today}", f"ETH-PERPETUAL|{today}", False)]
    assert run.run_key != ticks.at("candles_hourly", now + timedelta(hours=1))[0].run_key


def test_every_few_minutes_recorded_trades_are_taken_in_and_nothing_where_none_are(
    ticks: Ticks, settings: Settings
) -> None:
    now = datetime(2024, 4, 10, 0, 5, tzinfo=UTC)
    assert ticks.at("trades_every_5_minutes", now) == []
    spool = spool_of(settings)
    with spool.recording():
        for hours in (1, 0):
            at_ms = to_ms(now - timedelta(hours=hours))
            TradeRecording(spool, "trades/future.BTC", at_ms).close()
    [run] = ticks.at("trades_every_5_minutes", now)
    assert ranges([run]) == [("BTC-PERPETUAL|2024-04-09", "BTC-PERPETUAL|2024-04-10", False)]


def test_a_run_that_takes_trades_in_shows_where_they_came_from_and_how_they_were_recorded(
    ticks: Ticks, settings: Settings, sandbox: SandboxExchange
) -> None:
    day, spool = published_on(sandbox, date(2024, 4, 9)), spool_of(settings)
    with spool.recording():
        recording = TradeRecording(spool, "trades/future.BTC", day[0]["timestamp"])
        recording.frames(frames_of([*day[:1_000], *day[1_010:]]))
        recording.close()
    [request] = ticks.at("trades_every_5_minutes", datetime(2024, 4, 10, 0, 5, tzinfo=UTC))
    with dg.DagsterInstance.ephemeral() as instance:
        ticks.run([request], "trades", instance)
        event = instance.get_latest_materialization_event(dg.AssetKey("trades"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    shown = {
        "rows_from_spool": len(day) - 10, "rows_requested": 10, "recorded_holes": 1,
        "missing_in_holes": 10, "fetched_for_holes": 10, "disconnections": 0,
    }  # fmt: skip
    assert {name: metadata[f"run_{name}"].value for name in shown} == shown
    latencies = [metadata[f"run_latency_{of}_ms"].value for of in ("median", "p99")]
    assert LATENCY_MS <= latencies[0] <= latencies[1] < LATENCY_MS + 100


@pytest.mark.parametrize(
    ("now", "first", "last"),
    [
        (datetime(2024, 3, 1, 0, 20, tzinfo=UTC), "2024-02-23", "2024-02-29"),
        (datetime(2024, 1, 3, 0, 20, tzinfo=UTC), "2023-12-27", "2024-01-02"),
        (datetime(2023, 3, 1, 0, 20, tzinfo=UTC), "2023-02-22", "2023-02-28"),
    ],
)
def test_every_day_the_last_week_is_requested_where_nothing_is_held(
    ticks: Ticks, now: datetime, first: str, last: str
) -> None:
    requested = ranges(ticks.at("candles_daily", now))
    assert requested == [(f"BTC-PERPETUAL|{first}", f"ETH-PERPETUAL|{last}", False)]


def test_every_day_what_is_complete_is_left_out_and_the_day_before_looked_at_again(
    ticks: Ticks, pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    sandbox.charts.omit("ETH-PERPETUAL", ms(date(2024, 4, 6), 0), ms(date(2024, 4, 6), 5))
    pipeline.backfill(date(2024, 4, 1), date(2024, 4, 8), names=NAMES)
    requested = ranges(ticks.at("candles_daily", datetime(2024, 4, 10, 0, 20, tzinfo=UTC)))
    assert requested == [
        ("ETH-PERPETUAL|2024-04-06", "ETH-PERPETUAL|2024-04-06", False),
        ("BTC-PERPETUAL|2024-04-09", "ETH-PERPETUAL|2024-04-09", False),
        ("BTC-PERPETUAL|2024-04-08", "ETH-PERPETUAL|2024-04-08", True),
    ]


def test_every_week_the_days_proved_a_week_ago_are_looked_at_again_and_none_left_out(
    ticks: Ticks, pipeline: Pipeline
) -> None:
    pipeline.backfill(date(2024, 3, 1), date(2024, 4, 9), names=NAMES)
    looked_at = []
    for week in range(3):
        now = datetime(2024, 4, 1, 1, 40, tzinfo=UTC) + timedelta(weeks=week)
        [(start, end, is_again)] = ranges(ticks.at("candles_weekly", now))
        assert is_again
        looked_at.append((start, end))
    assert looked_at == [
        ("BTC-PERPETUAL|2024-03-18", "ETH-PERPETUAL|2024-03-24"),
        ("BTC-PERPETUAL|2024-03-25", "ETH-PERPETUAL|2024-03-31"),
        ("BTC-PERPETUAL|2024-04-01", "ETH-PERPETUAL|2024-04-07"),
    ]


def test_every_week_what_should_be_complete_is_repaired(
    ticks: Ticks, pipeline: Pipeline, sandbox: SandboxExchange, clock: Clock
) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", ms(date(2024, 1, 2), 0), ms(date(2024, 1, 2), 5))
    pipeline.backfill(date(2024, 1, 1), date(2024, 1, 3), names=["BTC-PERPETUAL"])
    week_later = clock.now + timedelta(days=7)
    day = "BTC-PERPETUAL|2024-01-02"
    assert ranges(ticks.at("candles_weekly", week_later)) == [(day, day, False)]


def test_days_before_the_partitions_begin_are_left_to_the_command_line(
    settings: Settings, pipeline: Pipeline, sandbox: SandboxExchange, clock: Clock
) -> None:
    for day in (2, 4):
        sandbox.charts.omit("BTC-PERPETUAL", ms(date(2024, 1, day), 0), ms(date(2024, 1, day), 5))
    pipeline.backfill(date(2024, 1, 1), date(2024, 1, 5), names=["BTC-PERPETUAL"])
    week_later = clock.now + timedelta(days=7)
    requested = {
        since: ranges(
            Ticks(replace(settings, partitions_since=since)).at("candles_weekly", week_later)
        )
        for since in (date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 5))
    }
    second, fourth = ((f"BTC-PERPETUAL|2024-01-0{day}",) * 2 + (False,) for day in (2, 4))
    assert list(requested.values()) == [[second, fourth], [fourth], []]


def test_what_is_looked_at_again_is_revised_where_the_exchange_changed_its_mind(
    ticks: Ticks, pipeline: Pipeline, sandbox: SandboxExchange, clock: Clock
) -> None:
    clock.now = datetime(2024, 4, 9, 0, 20, 30, tzinfo=UTC)
    ticks.run(ticks.at("candles_daily", clock.now))
    sandbox.charts.revise("BTC-PERPETUAL", ms(date(2024, 4, 8), 7), 77.0)
    clock.forward(timedelta(days=1))
    ticks.run(ticks.at("candles_daily", clock.now))
    query = "select instrument_name, day, revised from candle_days where revised > 0"
    assert pipeline.rows(query) == [("BTC-PERPETUAL", date(2024, 4, 8), 1)]


def test_two_ticks_that_overlap_do_no_harm(
    ticks: Ticks, pipeline: Pipeline, sandbox: SandboxExchange, clock: Clock
) -> None:
    now = clock.now.replace(hour=0, minute=20)
    first, second = ticks.at("candles_daily", now), ticks.at("candles_daily", now)
    ticks.run(first)
    requested = sandbox.requests[CHART]
    ticks.run(second)
    assert sandbox.requests[CHART] == requested
    states = pipeline.rows("select state, count(*) from candle_days group by all")
    assert states == [(DayState.COMPLETE, 14)]
    assert pipeline.rows(
        "select count(*), count(distinct (instrument_name, opened_at)) from candles"
    ) == [(14 * 1_440, 14 * 1_440)]


def test_a_warehouse_that_cannot_be_read_is_left_to_the_next_tick(settings: Settings) -> None:
    settings.warehouse.write_text("no database")
    assert Ticks(settings).at("candles_daily", datetime(2024, 4, 10, 0, 20, tzinfo=UTC)) == []


def test_instruments_that_do_not_stand_side_by_side_are_runs_of_their_own() -> None:
    day = date(2024, 4, 9)
    span = (day, day)
    found = spans(("A", "B", "C", "D"), {"A": [day], "C": [day], "D": [day]})
    assert found == [(["A"], span), (["C", "D"], span)]


@pytest.mark.parametrize(("is_on", "status"), [(False, "STOPPED"), (True, "RUNNING")])
def test_schedules_run_where_the_settings_say_so(
    settings: Settings, is_on: bool, status: str
) -> None:
    account = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    chosen = replace(settings, schedules=is_on, **account)
    scheduled = {each.name: each for each in build_definitions(chosen).schedules or ()}
    # A lake has a schedule more than a file, and nobody waits here for one that is away.
    lake = replace(chosen, warehouse=Lake("host=nowhere", "/nowhere/"))
    scheduled["maintain_warehouse"] = maintenance_schedule(lake, CRONS)
    assert scheduled.keys() == CRONS.keys()
    for name, cron in CRONS.items():
        schedule = scheduled[name]
        assert isinstance(schedule, dg.ScheduleDefinition)
        expected = "STOPPED" if name.startswith(("trades_", "candles_rebuilt_")) else status
        assert (schedule.default_status.value, schedule.cron_schedule) == (expected, cron)
        assert schedule.description
