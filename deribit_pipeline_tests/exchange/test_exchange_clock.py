"""The exchange's time in a response closes a candle only where another clock or response agrees."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest

from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.errors import DeribitUnavailable
from deribit_pipeline.exchange.exchange_clock import ExchangeClock, Fit, Reading, Witness
from deribit_pipeline.sandbox.exchange import Reply, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.pipeline import CHART, Opened, Pipeline, midnight
from deribit_pipeline_tests.helpers.sent_requests import logged

NOON = 1_704_110_400.0
BTC, TIME = "BTC-PERPETUAL", "public/get_time"


def always(method: str, reply: Reply) -> bool:
    return True


class Machine:
    """A machine whose clock is `wrong` by some seconds, and an exchange with the right time."""

    def __init__(self, wrong: float = 0.0) -> None:
        self.wrong, self.passed = wrong, 0.0
        self.clock = ExchangeClock(lambda: datetime.fromtimestamp(NOON + self.passed + wrong, UTC))
        self.requested = 0

    def response(self, by: float = 0.0, took: float = 0.1) -> Reading:
        """A response whose time is wrong by this many seconds."""
        sent_at, self.passed = self.passed, self.passed + took
        return Reading(int((NOON + sent_at + took / 2 + by) * 1e6), sent_at, self.passed)

    def fit(self, reading: Reading, by: float | None = 0.0, result: float | None = None) -> Fit:
        """The verdict on a response if `get_time` is wrong by this many seconds, or fails."""

        async def witness() -> Witness | None:
            self.requested += 1
            if by is None:
                return None
            returned = self.response(by)
            right = by if result is None else result
            return Witness(returned, int((NOON + returned.sent_at + right) * 1e3))

        return asyncio.run(self.clock.settled(reading, witness))


@pytest.mark.parametrize("wrong", [-25_200.0, -3.0, 0.0, 3.0, 25_200.0])
def test_a_wrong_clock_of_the_machine_is_outvoted_by_two_responses(wrong: float) -> None:
    machine = Machine(wrong)
    assert [machine.fit(machine.response()) for _ in range(20)] == [Fit.WELL] * 20
    assert machine.requested == (1 if wrong < -2 else 0)


@pytest.mark.parametrize(
    ("by", "fit"),
    [
        (1.9, Fit.WELL), (2.2, Fit.AHEAD), (3_600.0, Fit.AHEAD), (1e9, Fit.AHEAD),
        (-59.8, Fit.WELL), (-60.3, Fit.BEHIND), (-86_400.0, Fit.BEHIND),
    ],
)  # fmt: skip
def test_a_time_must_fit_its_own_past(by: float, fit: Fit) -> None:
    machine = Machine()
    assert machine.fit(machine.response()) is Fit.WELL
    machine.passed += 1_000.0
    assert machine.fit(machine.response(by)) is fit
    assert machine.requested == (0 if fit is Fit.WELL else 1)
    assert machine.fit(machine.response()) is Fit.WELL


@pytest.mark.parametrize("took", [0.0, 0.1, 30.0])
def test_a_slow_response_is_no_sign_of_a_wrong_clock(took: float) -> None:
    machine = Machine()
    for seconds in (0.1, took, 0.1, took):
        assert machine.fit(machine.response(took=seconds)) is Fit.WELL
    assert machine.requested == 0


@pytest.mark.parametrize("by", [-86_400.0, -100.0, 10.0, 86_400.0])
def test_a_change_that_get_time_confirms_is_the_exchanges_time(by: float) -> None:
    machine = Machine()
    machine.fit(machine.response())
    assert machine.fit(machine.response(by), by) is Fit.WELL
    assert machine.fit(machine.response(by)) is Fit.WELL
    assert machine.requested == 1


@pytest.mark.parametrize("by", [10.0, 86_400.0])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_time_that_get_time_does_not_confirm_is_bounded(by: float, is_first: bool) -> None:
    machine = Machine()
    if not is_first:
        machine.fit(machine.response())
    for witness in ({"by": None}, {"by": 0.0}, {"by": by, "result": 0.0}):
        machine.passed += 100.0
        reading = machine.response(by)
        assert machine.fit(reading, **witness) is Fit.AHEAD
        latest = machine.clock.latest(reading.came_at) / 1e6
        assert abs(latest - (NOON + machine.passed)) < 0.3


def test_what_is_not_confirmed_is_not_tried_again_at_once() -> None:
    machine = Machine()
    machine.fit(machine.response())
    for _ in range(50):
        assert machine.fit(machine.response(3_600.0), None) is Fit.AHEAD
    assert machine.requested == 1


@pytest.fixture
def now(sandbox: SandboxExchange) -> datetime:
    """The time at the start of a test: the exchange's clock and the machine's run on together."""
    sandbox.clock = time.time
    return datetime.now(UTC)


def assert_closed(pipeline: Pipeline, now: datetime) -> None:
    """All candles of the day that were over are held, and none that was not."""
    held, today = pipeline.held(BTC, "1"), midnight(now.date())
    over = {moment.replace(second=0, microsecond=0) for moment in (now, datetime.now(UTC))}
    assert held in [pipeline.returned(BTC, "1", today, until) for until in over]


@pytest.mark.parametrize("method", [CHART, "public/get_instrument"])
@pytest.mark.parametrize("fault", ["an_hour_ahead", "an_hour_behind"])
def test_one_response_of_another_time_closes_and_opens_nothing(
    pipeline: Pipeline, faults: Faults, now: datetime, method: str, fault: str
) -> None:
    faults.corrupt_next([fault], method)
    outcome = pipeline.backfill(now.date(), now.date())
    assert outcome.days_by_state == {DayState.OPEN: 1}
    assert_closed(pipeline, now)


def test_a_time_that_stays_unconfirmed_leaves_candles_open_and_is_reported_once(
    pipeline: Pipeline,
    sandbox: SandboxExchange,
    faults: Faults,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every `usIn` is an hour ahead of this machine's clock and of get_time."""
    faults.corrupt_where("an_hour_ahead", always)
    outcome = pipeline.backfill(now.date(), now.date())
    assert outcome.days_by_state == {DayState.OPEN: 1}
    assert_closed(pipeline, now)
    (output,) = logged(caplog, "have a time that is 3,", logging.WARNING)
    assert (
        "ahead of what can be confirmed: rows that are over only by that time stay open" in output
    )


def test_a_clock_that_went_on_is_confirmed_once_for_all_in_flight(
    opened: Opened, sandbox: SandboxExchange, clock: Clock
) -> None:
    exchange = opened()
    exchange.run(exchange.client.test())
    clock.forward(timedelta(days=1))

    async def many() -> set[datetime]:
        answers = await asyncio.gather(*(exchange.client.test() for _ in range(20)))
        return {answer.as_of for answer in answers}

    assert exchange.run(many()) == {clock.now}
    assert (sandbox.requests["public/test"], sandbox.requests[TIME]) == (21, 1)


def test_the_archive_confirms_by_the_times_of_its_refusal(
    opened: Opened, sandbox: SandboxExchange, clock: Clock
) -> None:
    exchange = opened()
    assert exchange.history is not None
    exchange.run(exchange.history.get_instrument(BTC))
    clock.forward(timedelta(days=1))
    exchange.run(exchange.history.get_instrument(BTC))
    assert exchange.history.rpc.as_of == clock.now


def test_a_copy_from_another_time_is_refused_until_it_is_given_up(
    opened: Opened, faults: Faults, now: datetime
) -> None:
    exchange = opened(0.1)
    exchange.run(exchange.client.test())
    faults.corrupt_where("an_hour_behind", lambda method, reply: method == "public/test")
    with pytest.raises(DeribitUnavailable, match=r"`usIn` \d+\) is 3,600 s behind the"):
        exchange.run(exchange.client.test())
    as_of = exchange.client.rpc.as_of
    assert as_of is not None
    assert as_of >= now
