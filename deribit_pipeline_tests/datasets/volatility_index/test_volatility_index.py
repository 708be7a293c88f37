"""The volatility index: both resolutions of a day, fetched to the last digit and proved by
count."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.volatility_index.calls import get_volatility_index_data
from deribit_pipeline.datasets.volatility_index.source import VolatilityIndexCandles
from deribit_pipeline.datasets.volatility_index.table import TABLE as VOLATILITY_INDEX
from deribit_pipeline.datasets.volatility_index.wire import DATA, index_page
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.domain.rows import Columns, gaps_of, some_of
from deribit_pipeline.domain.windows import TimeWindow, to_ms
from deribit_pipeline.errors import DeribitBadPayload, DeribitRejected
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock, recorded
from deribit_pipeline_tests.helpers.fetched_days import Fetching, first_with

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FIRST, LAST = date(2024, 4, 6), date(2024, 4, 8)
A_DAY = 1_440 + 24


@pytest.fixture
def fetch(opened: Callable[..., Exchange], warehouse: Warehouse) -> Fetching:
    return Fetching(opened(), warehouse, VolatilityIndexCandles())


def ms(day: date) -> int:
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))


def requested(
    sandbox: SandboxExchange, start: int, end: int, resolution: str = "60", currency: str = "BTC"
) -> dict[str, Any]:
    params = {"currency": currency, "resolution": resolution}
    params |= {"start_timestamp": str(start), "end_timestamp": str(end)}
    result: dict[str, Any] = sandbox.answer(DATA, params).body["result"]
    return result


def returned(sandbox: SandboxExchange, day: date, resolution: str) -> list[list[float]]:
    """The exchange's candles of a day, requested in two halves."""
    start, half = ms(day), DAY // 2
    rows = [
        requested(sandbox, at, at + half - 1, resolution)["data"] for at in (start, start + half)
    ]
    return [*rows[0], *rows[1]]


def held(rows: Columns, resolution: str) -> list[list[float]]:
    of_it = some_of(rows, rows["resolution"] == resolution)
    columns = [of_it["opened_at"].astype(np.int64)]
    columns += [of_it[name] for name in ("open", "high", "low", "close")]
    return [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def is_as_published(rows: Columns, sandbox: SandboxExchange, day: date) -> bool:
    return all(held(rows, res) == returned(sandbox, day, res) for res in ("60", "3600"))


def test_the_recorded_index_is_read_to_the_last_digit() -> None:
    answer = recorded("volatility_index")
    page = index_page(answer)
    assert page.continuation is None
    read = [page.candles["opened_at"].astype(np.int64)]
    read += [page.candles[name] for name in ("open", "high", "low", "close")]
    assert np.column_stack(read).tolist() == answer["data"]
    names = [column.name for column in VOLATILITY_INDEX.columns]
    assert ["currency", "resolution", *page.candles] == names


@pytest.mark.parametrize("returned", [{}, {"continuation": None}, {"continuation": "none"}])
def test_nothing_older_is_absent_null_or_none(returned: dict[str, object]) -> None:
    assert index_page({"data": []} | returned).continuation is None


@pytest.mark.parametrize("returned", [1_711_929_600_000, 1.7119296e12, "1711929600000"])
def test_a_continuation_is_a_timestamp(returned: object) -> None:
    assert index_page({"data": [], "continuation": returned}).continuation == 1_711_929_600_000


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ([], "must be an object"),
        ({}, "must be an array"),
        ({"data": [[0, 1, 1, 1]]}, "a candle must be"),
        ({"data": [{}]}, "must be an array"),
        ({"data": [["0", 1, 1, 1, 1]]}, "`timestamp` must be"),
        ({"data": [[0, 1, None, 1, 1]]}, "`high` must be"),
        ({"data": [], "continuation": "soon"}, "`continuation` must be"),
        ({"data": [], "continuation": True}, "`continuation` must be"),
    ],
)
def test_a_malformed_page_of_the_index_is_an_error(answer: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        index_page(answer)


def test_the_sandbox_tells_the_newest_thousand_and_how_to_go_on(sandbox: SandboxExchange) -> None:
    start = ms(FIRST)
    newest = requested(sandbox, start, start + DAY)
    assert len(newest["data"]) == 1_000
    assert newest["data"][-1][0] == start + DAY
    older = requested(sandbox, start, newest["continuation"])
    assert older["data"][-1][0] == newest["data"][0][0] - MINUTE
    assert older["data"][0][0] == start
    assert older["continuation"] is None
    assert recorded("volatility_index").keys() == newest.keys()


@pytest.mark.parametrize("resolution", ["1", "60", "3600", "43200", "1D"])
def test_the_sandbox_rolls_up_its_minutes(sandbox: SandboxExchange, resolution: str) -> None:
    start = ms(FIRST)
    coarse = requested(sandbox, start, start + HOUR // 4 - 1, resolution)["data"]
    fine = requested(sandbox, start, start + HOUR - 1, "60")["data"]
    if resolution == "3600":
        assert coarse == [
            [start, fine[0][1], max(r[2] for r in fine), min(r[3] for r in fine), fine[-1][4]]
        ]
    assert coarse[0][:2] == fine[0][:2]


def test_the_sandbox_shows_the_running_candle(sandbox: SandboxExchange, clock: Clock) -> None:
    now = to_ms(clock.now)
    running = requested(sandbox, now - 3 * MINUTE, now + HOUR)["data"][-1]
    clock.forward(timedelta(minutes=1))
    finished = requested(sandbox, now - 3 * MINUTE, now)["data"][-1]
    assert running[0] == finished[0] == now // MINUTE * MINUTE
    assert running[4] != finished[4]


def test_days_are_complete_to_the_last_digit(fetch: Fetching, sandbox: SandboxExchange) -> None:
    brought = fetch("BTC", FIRST, LAST)
    assert sandbox.requests[DATA] == VolatilityIndexCandles().requests("BTC", [*brought.proved])
    for day, proved in brought.proved.items():
        assert (proved.proof.state, proved.proof.received) == (DayState.COMPLETE, A_DAY)
        assert is_as_published(proved.rows, sandbox, day)


@pytest.mark.parametrize("repeats", [True, False])
def test_what_is_dropped_is_requested_by_continuation(
    opened: Callable[..., Exchange], sandbox: SandboxExchange, repeats: bool
) -> None:
    sandbox.volatility_index.repeats = repeats
    start = datetime(2024, 4, 6, tzinfo=UTC)
    exchange = opened()
    answer = exchange.run(
        get_volatility_index_data(
            exchange.client, "BTC", "60", TimeWindow(start, start + timedelta(days=2))
        )
    )
    opened_at = answer.value["opened_at"].astype(np.int64)
    assert opened_at.tolist() == list(range(ms(FIRST), ms(FIRST) + 2 * DAY, MINUTE))


def test_a_continuation_that_does_not_go_on_is_an_error(
    opened: Callable[..., Exchange], sandbox: SandboxExchange
) -> None:
    start = ms(FIRST)
    result = {"data": [[start, 1.0, 1.0, 1.0, 1.0]], "continuation": start + 2 * DAY}
    sandbox.replay(DATA, result)
    exchange, window = (
        opened(),
        TimeWindow(datetime(2024, 4, 6, tzinfo=UTC), datetime(2024, 4, 7, tzinfo=UTC)),
    )
    with pytest.raises(DeribitBadPayload, match="does not go back in time: 2024-04-08"):
        exchange.run(get_volatility_index_data(exchange.client, "BTC", "60", window))


def test_history_begins_on_2021_03_24(fetch: Fetching) -> None:
    brought = fetch("ETH", date(2021, 3, 23), date(2021, 3, 24))
    assert brought.proof(date(2021, 3, 23)).state == DayState.NOT_LISTED
    assert brought.proof(date(2021, 3, 24)).received == A_DAY


def test_history_that_begins_at_another_hour_is_kept_and_its_gap_named(
    fetch: Fetching, sandbox: SandboxExchange
) -> None:
    day = date(2021, 3, 24)
    sandbox.volatility_index.began = ms(day) + 12 * HOUR
    late = fetch("BTC", day).proved[day]
    assert (late.proof.state, late.proof.received) == (DayState.GAPPED, A_DAY // 2)
    assert [gap.missing for gap in gaps_of(late.expected, late.gaps)] == [12, 720]
    sandbox.volatility_index.began = ms(day) - 12 * HOUR
    early = fetch("BTC", date(2021, 3, 23), day)
    assert early.proof(day - timedelta(days=1)).received == A_DAY // 2
    assert early.proof(day - timedelta(days=1)).state == DayState.COMPLETE


def test_the_running_day_has_closed_candles_only(
    fetch: Fetching, sandbox: SandboxExchange, clock: Clock
) -> None:
    today = clock.now.date()
    running = fetch("BTC", today).proved[today]
    assert running.proof.state == DayState.OPEN
    assert (running.proof.expected, running.proof.received) == (A_DAY, 720 + 12)
    assert running.proof.missing == 0
    assert running.rows["opened_at"].max() == np.datetime64("2024-04-10T11:59")
    clock.forward(timedelta(days=1))
    complete = fetch("BTC", today).proved[today]
    assert complete.proof.state == DayState.COMPLETE
    assert is_as_published(complete.rows, sandbox, today)


@pytest.mark.parametrize("refuses_others", [True, False])
def test_a_currency_without_an_index_has_no_days(
    fetch: Fetching, sandbox: SandboxExchange, refuses_others: bool
) -> None:
    sandbox.volatility_index.refuses_others = refuses_others
    if refuses_others:
        with pytest.raises(DeribitRejected, match="invalid currency"):
            fetch("USDC", LAST)
    else:
        brought = fetch("USDC", LAST)
        assert "none of the newest ones either" in str(brought.failed[LAST])


def test_an_exchange_that_has_no_rows_at_all_settles_no_day(
    fetch: Fetching, faults: Faults
) -> None:
    """Not even if none are expected: a day that is not listed is never requested again."""
    faults.corrupt_where("rows_empty", lambda method, reply: method == DATA)
    brought = fetch("BTC", date(2021, 3, 20), date(2021, 3, 26))
    assert not brought.proved
    assert all("none of the newest ones either" in str(error) for error in brought.failed.values())


def test_the_newest_rows_are_requested_once_as_a_control(
    fetch: Fetching, sandbox: SandboxExchange
) -> None:
    brought = fetch("BTC", date(2021, 1, 1), date(2021, 3, 20))
    assert {proved.proof.state for proved in brought.proved.values()} == {DayState.NOT_LISTED}
    planned = VolatilityIndexCandles().requests("BTC", [*brought.proved])
    assert planned - 4 <= sandbox.requests[DATA] <= planned + 2


def test_missing_minutes_are_a_gap(fetch: Fetching, sandbox: SandboxExchange) -> None:
    start = ms(LAST)
    sandbox.volatility_index.omit("BTC", start + 100 * MINUTE, start + 103 * MINUTE)
    brought = fetch("BTC", FIRST, LAST)
    assert brought.proof(LAST).state == DayState.GAPPED
    last = brought.proved[LAST]
    assert [(gap.gap, gap.missing) for gap in gaps_of(last.expected, last.gaps)] == [
        ("3600 2024-04-08T01:00:00Z", 1),
        ("60 2024-04-08T01:40:00Z to 60 2024-04-08T01:42:00Z", 3),
    ]
    assert brought.proof(FIRST).state == DayState.COMPLETE


@pytest.mark.parametrize(
    "fault",
    [
        "rows_repeated", "rows_unordered", "rows_off_grid", "rows_lack_first", "rows_lack_last",
        "rows_lack_some", "rows_empty", "rows_of_another",
    ],
)  # fmt: skip
def test_malformed_index_candles_are_requested_again(
    fetch: Fetching, sandbox: SandboxExchange, faults: Faults, fault: str
) -> None:
    faults.corrupt_next([fault], DATA)
    brought = fetch("BTC", FIRST, LAST)
    for day, proved in brought.proved.items():
        assert proved.proof.state == DayState.COMPLETE
        assert is_as_published(proved.rows, sandbox, day)
    assert not brought.failed


@pytest.mark.parametrize("days", [[6], [7], [6, 8]])
def test_answers_of_another_currency_never_make_a_complete_day(
    fetch: Fetching, sandbox: SandboxExchange, faults: Faults, days: list[int]
) -> None:
    # The first response with 08:00 of these days is wrong, at either resolution.
    wrong = [ms(date(2024, 4, day)) + 8 * HOUR for day in days]
    faults.corrupt_where("rows_of_another", first_with(wrong))
    brought = fetch("BTC", FIRST, LAST)
    assert not brought.failed
    for day, proved in brought.proved.items():
        assert proved.proof.state == DayState.COMPLETE
        assert is_as_published(proved.rows, sandbox, day)


def test_a_source_that_is_left_ends_its_requests(
    opened: Callable[..., Exchange], warehouse: Warehouse
) -> None:
    exchange = opened()

    async def first_day() -> tuple[date, int]:
        days = [date(2023, 1, 1) + timedelta(days=n) for n in range(22)]
        fetching = VolatilityIndexCandles().fetch(exchange, warehouse, "BTC", days)
        piece = await anext(fetching)
        await fetching.aclose()  # type: ignore[attr-defined]
        for _ in range(100):  # what is cancelled ends in the loop's next rounds
            await asyncio.sleep(0)
        return piece.day, len(asyncio.all_tasks())  # type: ignore[union-attr]

    assert exchange.run(first_day()) == (date(2023, 1, 1), 1)
