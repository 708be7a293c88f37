"""Backfills over real HTTP: each candle to the last digit, each gap confirmed, no response
trusted alone."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import UnknownInstrument
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock, every_store
from deribit_pipeline_tests.helpers.pipeline import CHART, Pipeline, midnight, ms

NEW_YEAR = date(2024, 1, 1)


@pytest.mark.parametrize(
    ("resolution", "candles", "most_requests"),
    # A response without a neighbour is supported by the coarser candles, or requested twice.
    [("1", 262_080, 56), ("5", 52_416, 14), ("60", 4_368, 4), ("180", 1_456, 4), ("1D", 182, 4)],
)
def test_a_quarter_is_held_to_the_last_digit(
    pipeline: Pipeline, sandbox: SandboxExchange, resolution: str, candles: int, most_requests: int
) -> None:
    names = ("BTC-PERPETUAL", "ETH-PERPETUAL")
    outcome = pipeline.backfill(NEW_YEAR, date(2024, 3, 31), resolution, names)
    assert outcome.failures == {}
    assert outcome.days_by_state == {DayState.COMPLETE: 182}
    assert outcome.rows == candles
    assert sandbox.requests[CHART] == outcome.requests <= most_requests
    overhang = timedelta(hours=8) if resolution == "1D" else timedelta(0)
    for name in names:
        start, end = midnight(NEW_YEAR) + overhang, midnight(date(2024, 4, 1)) + overhang
        assert pipeline.held(name, resolution) == pipeline.returned(name, resolution, start, end)


def test_what_is_proved_is_not_requested_again(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    pipeline.backfill(NEW_YEAR, date(2024, 1, 7))
    before = sandbox.requests.copy()
    outcome = pipeline.backfill(NEW_YEAR, date(2024, 1, 7))
    assert sandbox.requests == before
    assert outcome.days_by_state == {DayState.COMPLETE: 7}
    pipeline.backfill(NEW_YEAR, date(2024, 1, 9))
    assert sandbox.requests[CHART] == before[CHART] + 2  # one for the coarser candles


@every_store
def test_force_requests_again_and_changes_nothing(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    pipeline.backfill(NEW_YEAR, date(2024, 1, 3))
    before = [pipeline.rows(f"from {table} order by all") for table in ("candles", "candle_days")]
    requested = sandbox.requests[CHART]
    pipeline.backfill(NEW_YEAR, date(2024, 1, 3), force=True)
    assert sandbox.requests[CHART] == requested + 2  # one for the coarser candles
    after = [pipeline.rows(f"from {table} order by all") for table in ("candles", "candle_days")]
    assert after == before


@pytest.mark.parametrize(
    ("resolution", "first_opening", "expected_on_listing"),
    [("1", "2018-08-14 10:24", 816), ("60", "2018-08-14 10:00", 14), ("1D", "2018-08-14 08:00", 1)],
)
def test_a_range_that_begins_before_listing(
    pipeline: Pipeline, resolution: str, first_opening: str, expected_on_listing: int
) -> None:
    outcome = pipeline.backfill(date(2018, 8, 10), date(2018, 8, 16), resolution)
    assert outcome.days_by_state == {DayState.NOT_LISTED: 4, DayState.COMPLETE: 3}
    assert pipeline.rows("select strftime(min(opened_at), '%Y-%m-%d %H:%M') from candles") == [
        (first_opening,)
    ]
    query = "select expected, received from candle_days where day = '2018-08-14'"
    assert pipeline.rows(query) == [(expected_on_listing, expected_on_listing)]


def test_a_range_before_listing_requests_no_chart(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    outcome = pipeline.backfill(date(2018, 8, 1), date(2018, 8, 5))
    assert outcome.days_by_state == {DayState.NOT_LISTED: 5}
    assert sandbox.requests[CHART] == 0


def test_a_range_past_expiry(pipeline: Pipeline) -> None:
    outcome = pipeline.backfill(date(2024, 3, 28), date(2024, 3, 31), names=["BTC-29MAR24"])
    assert outcome.days_by_state == {DayState.COMPLETE: 2, DayState.NOT_LISTED: 2}
    assert pipeline.rows("select expected from candle_days where day = '2024-03-29'") == [(480,)]


@every_store
def test_today_is_held_as_far_as_it_is_closed_and_tomorrow_completed(
    pipeline: Pipeline, clock: Clock
) -> None:
    today = clock.now.date()
    outcome = pipeline.backfill(today - timedelta(days=1), today)
    assert outcome.days_by_state == {DayState.COMPLETE: 1, DayState.OPEN: 1}
    query = f"select state, expected, received, missing from candle_days where day = '{today}'"
    assert pipeline.rows(query) == [("open", 1_440, 720, 0)]
    assert pipeline.rows("select max(opened_at) from candles")[0][0] == clock.now.replace(
        minute=59, hour=11, second=0
    )
    clock.forward(timedelta(days=1))
    outcome = pipeline.backfill(today - timedelta(days=1), today)
    assert outcome.days_by_state == {DayState.COMPLETE: 2}
    assert outcome.revised == 0
    assert pipeline.held("BTC-PERPETUAL", "1") == pipeline.returned(
        "BTC-PERPETUAL",
        "1",
        midnight(today) - timedelta(days=1),
        midnight(today) + timedelta(days=1),
    )


def test_a_daily_candle_is_open_until_eight_the_next_day(pipeline: Pipeline, clock: Clock) -> None:
    clock.now = datetime(2024, 4, 10, 7, 59, 59, tzinfo=UTC)
    outcome = pipeline.backfill(date(2024, 4, 8), date(2024, 4, 9), "1D")
    assert outcome.days_by_state == {DayState.COMPLETE: 1, DayState.OPEN: 1}
    clock.forward(timedelta(seconds=1))
    assert pipeline.backfill(date(2024, 4, 8), date(2024, 4, 9), "1D").days_by_state == {
        DayState.COMPLETE: 2
    }


@pytest.mark.parametrize("hours", [-7, 0, 7])
def test_a_local_clock_that_is_hours_wrong_changes_nothing_but_a_warning(
    pipeline: Pipeline, clock: Clock, caplog: pytest.LogCaptureFixture, hours: int
) -> None:
    clock.now = datetime.now(UTC).replace(second=30) - timedelta(hours=hours)
    today = clock.now.date()
    outcome = pipeline.backfill(today - timedelta(days=1), today)
    assert outcome.days_by_state == {DayState.COMPLETE: 1, DayState.OPEN: 1}
    closed_until = clock.now.replace(second=0, microsecond=0)
    assert pipeline.held("BTC-PERPETUAL", "1") == pipeline.returned(
        "BTC-PERPETUAL", "1", midnight(today) - timedelta(days=1), closed_until
    )
    warnings = [record.getMessage() for record in caplog.records if "clock" in record.getMessage()]
    assert len(warnings) == (1 if hours else 0)


@pytest.mark.parametrize("resolution", ["180", "360", "720"])
@pytest.mark.parametrize("anchor", [0, 8])
def test_an_unknown_anchor_is_taken_as_it_comes(
    pipeline: Pipeline, sandbox: SandboxExchange, resolution: str, anchor: int
) -> None:
    sandbox.charts.anchor = anchor * 3_600_000
    outcome = pipeline.backfill(date(2018, 8, 12), date(2018, 8, 20), resolution)
    assert outcome.failures == {}
    assert outcome.days_by_state[DayState.COMPLETE] >= 6
    assert set(outcome.days_by_state) == {DayState.COMPLETE, DayState.NOT_LISTED}


def test_an_instrument_that_is_not_listed_writes_nothing(
    pipeline: Pipeline, warehouse: Warehouse
) -> None:
    with pytest.raises(UnknownInstrument, match="NOPE"):
        pipeline.backfill(NEW_YEAR, NEW_YEAR, names=["BTC-PERPETUAL", "NOPE"])
    assert not warehouse.location.exists()


@every_store
def test_what_the_exchange_revises_is_kept_both_ways(
    pipeline: Pipeline, sandbox: SandboxExchange
) -> None:
    pipeline.backfill(NEW_YEAR, NEW_YEAR)
    [(before,)] = pipeline.rows(
        "select volume_base from candles where minute(opened_at) = 5 and hour(opened_at) = 0"
    )
    sandbox.charts.revise("BTC-PERPETUAL", ms(NEW_YEAR, 5), 77.0)
    outcome = pipeline.backfill(NEW_YEAR, NEW_YEAR, force=True)
    assert outcome.revised == 1
    assert pipeline.rows("select volume_base from candle_revisions") == [(before,)]
    assert pipeline.rows("select volume_base from candles where volume_base = 77") == [(77.0,)]
    assert pipeline.rows("select state, revised from candle_days") == [("complete", 1)]


@pytest.mark.parametrize(
    "fault",
    [
        "ragged",
        "repeated",
        "unordered",
        "off_grid",
        "lacks_first",
        "lacks_last",
        "empty",
        "testnet",
    ],
)
def test_a_malformed_answer_is_requested_again_and_never_trusted(
    pipeline: Pipeline, faults: Faults, fault: str
) -> None:
    faults.corrupt_next([fault], CHART)
    outcome = pipeline.backfill(NEW_YEAR, date(2024, 1, 3))
    assert outcome.days_by_state == {DayState.COMPLETE: 3}
    assert pipeline.held("BTC-PERPETUAL", "1") == pipeline.returned(
        "BTC-PERPETUAL", "1", midnight(NEW_YEAR), midnight(date(2024, 1, 4))
    )


def test_a_range_that_fails_keeps_what_it_proved(
    pipeline: Pipeline, sandbox: SandboxExchange, faults: Faults
) -> None:
    def tells_of_february_first(method: str, reply: Reply) -> bool:
        ticks = reply.body["result"]["ticks"] if method == CHART else np.empty(0)
        return bool(np.any((ticks >= ms(date(2024, 2, 1), 0)) & (ticks < ms(date(2024, 2, 2), 0))))

    faults.corrupt_where("off_grid", tells_of_february_first)
    outcome = pipeline.backfill(date(2024, 1, 25), date(2024, 2, 8))
    failed = sorted(day for _, day in outcome.failures)
    assert date(2024, 2, 1) in failed
    assert len(outcome.proofs) + len(failed) == 15
    assert len(outcome.proofs) >= 8
    assert outcome.days_by_state == {DayState.COMPLETE: len(outcome.proofs)}
    assert "did not open every 0:01:00" in outcome.failures["BTC-PERPETUAL", date(2024, 2, 1)]
    assert pipeline.rows("select count(*) from candle_days") == [(len(outcome.proofs),)]

    faults.mend()
    before = sandbox.requests[CHART]
    assert pipeline.backfill(date(2024, 1, 25), date(2024, 2, 8)).failures == {}
    assert sandbox.requests[CHART] - before <= 3  # only what failed


def test_an_outage_ends_a_backfill_and_keeps_what_was_proved(
    pipeline: Pipeline, sandbox: SandboxExchange, faults: Faults
) -> None:
    faults.corrupt_where("503_html", lambda method, reply: sandbox.requests[CHART] > 10)
    outcome = pipeline.backfill(NEW_YEAR, date(2024, 3, 31), patience=0.1)
    assert len(outcome.proofs) + len(outcome.failures) == 91
    assert len(outcome.proofs) >= 20
    assert all("HTTP 503" in reason for reason in outcome.failures.values())
    assert verify(pipeline.warehouse).findings == []


def test_verify_names_each_day_that_no_longer_matches(pipeline: Pipeline) -> None:
    pipeline.backfill(NEW_YEAR, date(2024, 1, 5))
    assert verify(pipeline.warehouse).findings == []
    with pipeline.warehouse.writing() as connection:
        connection.execute(
            "update candles set close = close + 1e-9 where opened_at = '2024-01-02 07:00:00+00'"
        )
        connection.execute("delete from candles where opened_at = '2024-01-03 07:00:00+00'")
        connection.execute("delete from candle_days where day = '2024-01-05'")
    found = verify(pipeline.warehouse).findings
    findings = {item.day.day: item.contradictions for item in found if item.day}
    assert findings.keys() == {2, 3, 5}
    assert "content_hash is" in findings[2][0]
    assert findings[3][0] == "received is 1439, the proof has 1440"
    assert findings[5] == ["1440 candles have no proof"]
