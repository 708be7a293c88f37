"""What the recorder wrote is read before a backfill stores it: marked, with every hole named."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deribit_pipeline import read
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles_rebuilt import CANDLES_REBUILT
from deribit_pipeline.datasets.trades import TRADES, recorded_tail
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.windows import from_ms, to_ms
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.errors import IncompleteDays, InputError, SettingsError, SpoolError
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import FAILURE, Damage, Entry, read_entries
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock, every_store
from deribit_pipeline_tests.helpers.processes import name_warehouse
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    NAME,
    NOW_MS,
    START_MS,
    STREAM,
    TODAY,
    Frame,
    Trade,
    TradeRecording,
    body_of,
    frames_of,
    published_on,
)

DOCS = Path(__file__).parents[2] / "docs"
NOON = datetime(2024, 4, 10, 12, tzinfo=UTC)

Backfill = Callable[..., None]
Frames = list[Frame]


@pytest.fixture
def spool(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """The spool that the reader finds."""
    name_warehouse(monkeypatch, settings.warehouse, tmp_path)
    monkeypatch.setenv("DERIBIT_SPOOL", str(settings.spool))
    spool = spool_of(settings)
    with spool.recording():
        pass
    return spool


@pytest.fixture
def recording(spool: Spool) -> Iterator[TradeRecording]:
    recording = TradeRecording(spool, STREAM, START_MS)
    yield recording
    recording.close()


@pytest.fixture
def published(sandbox: SandboxExchange) -> list[Trade]:
    """The trades of both days until now."""
    return [*published_on(sandbox, DAY), *published_on(sandbox, TODAY, until_ms=NOW_MS)]


@pytest.fixture
def backfill(opened: Callable[..., Exchange], warehouse: Warehouse, spool: Spool) -> Backfill:
    exchange = opened()

    def backfill(*days: date, of: Dataset = TRADES) -> None:
        outcome = ForegroundBackfill(exchange, warehouse).backfill(
            of, Job("a run", {NAME: list(days)})
        )
        assert outcome.failures == {}

    with warehouse.writing():
        pass  # an empty warehouse
    return backfill


def read_recorded(start: Any = DAY, end: Any = None, names: Any = NAME, **how: Any) -> Any:
    return read.trades(names, start, end, recorded=True, complete_only=False, **how)


def proved(frame: Any) -> list[bool]:
    return [bool(each) for each in frame["is_proved"]]


def whole(frames: Frames, rng: np.random.Generator) -> Frames:
    return frames


def with_copies_out_of_order(frames: Frames, rng: np.random.Generator) -> Frames:
    many = [*frames, *(frame for frame in frames if rng.random() < 0.3)]
    return sorted(many, key=lambda frame: frame[0]["timestamp"] + rng.integers(0, 5_000))


def with_a_tenth_skipped(frames: Frames, rng: np.random.Generator) -> Frames:
    return [frame for frame in frames if rng.random() >= 0.1]


@pytest.mark.parametrize("stored", [[], [DAY], [DAY, TODAY]])
@pytest.mark.parametrize("record", [whole, with_copies_out_of_order, with_a_tenth_skipped])
@pytest.mark.filterwarnings("ignore:Trades are missing")
def test_recorded_trades_are_those_that_the_warehouse_has_after_the_backfill(
    record: Callable[[Frames, np.random.Generator], Frames],
    stored: list[date],
    recording: TradeRecording,
    published: list[Trade],
    backfill: Backfill,
    clock: Clock,
) -> None:
    """To the last digit; and those that are missing are named, each once."""
    earlier = len(published) - 200
    recording.frames(record(frames_of(published[:earlier]), np.random.default_rng(1)))
    clock.now = from_ms(published[earlier]["timestamp"])
    if stored:
        backfill(*stored)
    recording.frames(record(frames_of(published[earlier:]), np.random.default_rng(2)))
    found = read_recorded()
    clock.now = from_ms(NOW_MS)
    backfill(DAY, TODAY)
    after = read.trades(NAME, DAY)
    assert after["trade_seq"].tolist() == [trade["trade_seq"] for trade in published]
    is_read = after["trade_seq"].isin(found["trade_seq"])
    assert found.drop(columns="is_proved").equals(after[is_read])
    missing = [int(n) for n in after["trade_seq"][~is_read] if n < found["trade_seq"].max()]
    named = [range(int(a), int(b or a) + 1) for a, _, b in map(_parted, found.attrs["missing"])]
    first = found["trade_seq"].min()
    assert [n for numbers in named for n in numbers] == [n for n in missing if n > first]
    assert set(read_recorded()["is_proved"]) == {True}


def _parted(text: str) -> tuple[str, str, str]:
    return text.partition(" to ")


@every_store
def test_only_what_is_proved_is_marked_so_and_nothing_else_is_returned_by_default(
    recording: TradeRecording, published: list[Trade], backfill: Backfill, clock: Clock
) -> None:
    backfill(DAY)
    recording.frames(frames_of(published[:-50]))
    of_day = len([trade for trade in published if trade["timestamp"] < START_MS + 86_400_000])
    found = read_recorded()
    assert proved(found) == [True] * of_day + [False] * (len(published) - 50 - of_day)
    assert list(found.columns)[-1] == "is_proved"
    assert "is_proved" not in read.trades(NAME, DAY).columns
    assert len(read.trades(NAME, DAY)) == of_day
    assert len(read.trades(NAME, DAY, complete_only=False)) == of_day
    with pytest.raises(IncompleteDays):
        read.trades(NAME, DAY, TODAY)
    for function in (read.trades, read.candles):
        with pytest.raises(InputError, match="complete_only=False"):
            function(NAME, DAY, recorded=True)
    clock.now = from_ms(published[-51]["timestamp"] + 1)
    backfill(TODAY)
    recording.frames(frames_of(published[-50:]))
    assert proved(read_recorded()) == [True] * (len(published) - 50) + [False] * 50


def test_missing_numbers_are_named_wherever_in_the_window_they_are(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    """Also where the trade before them was recorded before the window, or stored before."""
    backfill(DAY)
    of_day = len([trade for trade in published if trade["timestamp"] < START_MS + 86_400_000])
    today = published[of_day:]
    recording.frames(frames_of([*today[2:300], *today[301:500], *today[510:]]))
    with pytest.warns(read.MissingTradesWarning, match=rf"{NAME} {today[0]['trade_seq']} to"):
        found = read_recorded()
    first, second, third = (today[place]["trade_seq"] for place in (0, 300, 500))
    holes = [f"{first} to {first + 1}", f"{second}", f"{third} to {third + 9}"]
    assert found.attrs["missing"] == holes
    start = from_ms(today[505]["timestamp"])
    with pytest.warns(read.MissingTradesWarning):
        assert read_recorded(start).attrs["missing"] == holes[2:]
    end = from_ms(today[505]["timestamp"])
    with pytest.warns(read.MissingTradesWarning):
        assert read_recorded(TODAY, end).attrs["missing"] == holes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_recorded(from_ms(today[510]["timestamp"] + 1)).attrs["missing"] == []


def test_until_when_nothing_is_missing_is_known_from_the_connection(
    recording: TradeRecording, published: list[Trade], spool: Spool, backfill: Backfill
) -> None:
    """After a reconnection only from the next trade on: its number shows whether some are
    missing."""

    def known() -> datetime:
        return datetime.fromisoformat(read_recorded(TODAY).attrs["recorded_until"])

    recording.frames(frames_of(published[:-1]))
    newest = from_ms(published[-2]["timestamp"])
    assert known() == newest - timedelta(seconds=1)
    recording.alive(NOW_MS - 15_000)
    assert known() == from_ms(NOW_MS - 16_000)
    recording.disconnect(NOW_MS - 14_000)
    recording.connect(NOW_MS - 12_000)
    recording.alive(NOW_MS - 10_000)
    assert known() == from_ms(NOW_MS - 16_000)
    recording.frames(frames_of([published[-1] | {"timestamp": NOW_MS - 9_000}]))
    assert known() == from_ms(NOW_MS - 10_000)


@pytest.mark.parametrize("event", ["damaged", FAILURE])
def test_nothing_is_known_beyond_what_was_not_written_or_cannot_be_read(
    event: str,
    recording: TradeRecording,
    published: list[Trade],
    spool: Spool,
    backfill: Backfill,
) -> None:
    """Although the connection stayed: until the number of the next trade shows what is missing."""
    recording.frames(frames_of(published[:-2]))
    if event == "damaged":
        file = spool.files(STREAM, TODAY)[-1]
        size = file.stat().st_size
        recording.frames(frames_of(published[-2:-1]))
        with file.open("r+b") as opened:
            opened.seek((size + file.stat().st_size) // 2)
            opened.write(bytes(8))
    else:
        recording.lost(NOW_MS - 20_000, 1)
    recording.alive(NOW_MS - 15_000)
    until = from_ms(published[-3]["timestamp"]) - timedelta(seconds=1)
    assert datetime.fromisoformat(read_recorded(TODAY).attrs["recorded_until"]) == until
    recording.frames(frames_of([published[-1] | {"timestamp": NOW_MS - 9_000}]))
    with pytest.warns(read.MissingTradesWarning, match=str(published[-2]["trade_seq"])):
        found = read_recorded(TODAY)
    assert datetime.fromisoformat(found.attrs["recorded_until"]) == from_ms(NOW_MS - 10_000)


def test_holes_are_named_on_either_side_of_a_trade_with_a_wrong_time(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    backfill(DAY)
    today = [trade for trade in published if trade["timestamp"] >= START_MS + 86_400_000]
    early = today[100] | {"timestamp": START_MS}
    frames = [[trade] for trade in [*today[:50], *today[51:100], *today[101:]]]
    recording.frames([*frames[:98], [early, *frames[98]], *frames[99:200], *frames[201:]])
    with pytest.warns(read.MissingTradesWarning):
        found = read_recorded(TODAY, NOON)
    assert found.attrs["missing"] == [str(today[place]["trade_seq"]) for place in (50, 202)]


def test_a_notification_whose_time_cannot_be_right_is_left_out(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    recording.frames(frames_of(published[:-5]))
    wrong = published[-4] | {"timestamp": NOW_MS + 86_400_000}
    recording.bodies([body_of([wrong])], published[-4]["timestamp"])
    until = from_ms(published[-6]["timestamp"]) - timedelta(seconds=1)
    assert datetime.fromisoformat(read_recorded(TODAY).attrs["recorded_until"]) == until
    recording.frames(frames_of(published[-3:]))
    with pytest.warns(read.MissingTradesWarning):
        found = read_recorded(TODAY)
    assert found.attrs["missing"] == [
        f"{published[-5]['trade_seq']} to {published[-4]['trade_seq']}"
    ]


def test_a_trade_that_cannot_be_trusted_is_left_out_and_nothing_is_known_beyond_it(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    """As when it is taken in: copies that differ, and impossible values, are requested."""
    recording.frames(frames_of(published))
    wrong = [published[-3] | {"price": -1.0}, published[-1] | {"amount": 1e6}]
    for trade in wrong:
        recording.frames([[trade]])
    with pytest.warns(read.MissingTradesWarning):
        found = read_recorded()
    assert found["trade_seq"].iloc[-2:].tolist() == [published[n]["trade_seq"] for n in (-4, -2)]
    assert found.attrs["missing"] == [str(published[-3]["trade_seq"])]
    until = from_ms(published[-1]["timestamp"]) - timedelta(seconds=1)
    assert datetime.fromisoformat(found.attrs["recorded_until"]) == until


def test_a_file_that_cannot_be_read_is_an_error_of_one_sentence(
    recording: TradeRecording, spool: Spool, published: list[Trade], backfill: Backfill
) -> None:
    recording.frames(frames_of(published))
    [file] = spool.hours(STREAM, TODAY)[11]
    file.chmod(0o644)
    file.unlink()
    file.mkdir()
    with pytest.raises(SpoolError, match=r"11\.gz cannot be read \(Is a directory\)"):
        read_recorded()


def test_the_last_minutes_are_read_from_the_files_of_their_hours_only(
    recording: TradeRecording,
    published: list[Trade],
    backfill: Backfill,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording.frames(frames_of(published))
    opened: list[str] = []

    def noted(file: Path, damage: Damage) -> Iterator[Entry]:
        opened.append(f"{file.parent.name} {file.stem}")
        return read_entries(file, damage)

    monkeypatch.setattr(recorded_tail, "read_entries", noted)
    found = read_recorded(NOON - timedelta(minutes=10))
    assert len(found) == len([t for t in published if t["timestamp"] >= NOW_MS - 630_000])
    assert set(opened) == {f"{TODAY} 11", f"{TODAY} 12"}


@every_store
def test_candles_of_the_running_day_are_those_that_its_complete_trades_make(
    recording: TradeRecording, published: list[Trade], backfill: Backfill, clock: Clock
) -> None:
    backfill(DAY)
    backfill(DAY, of=CANDLES[Resolution.MINUTE_1])
    recording.frames(frames_of(published))
    recording.alive(NOW_MS)

    def candles(resolution: str, start: Any = DAY) -> Any:
        return read.candles(NAME, start, None, resolution, recorded=True, complete_only=False)

    minutes, hours, long = candles("1"), candles("1h"), candles("1d")
    assert minutes.index[-1] == NOON - timedelta(minutes=1)  # the running one is left out
    assert proved(minutes) == [True] * 1440 + [False] * 720
    assert proved(hours) == [True] * 24 + [False] * 12
    assert long.index.tolist() == [NOON - timedelta(hours=28)]
    assert candles("1", NOON - timedelta(hours=1)).equals(minutes[-60:])
    clock.forward(timedelta(days=1))
    backfill(DAY, TODAY)
    backfill(DAY, TODAY, of=CANDLES_REBUILT)
    rebuilt = read.rows("candles_rebuilt", NAME, TODAY, TODAY)[:720]
    assert minutes[1440:].drop(columns="is_proved").equals(rebuilt.drop(columns="trades"))
    backfill(TODAY, of=CANDLES[Resolution.MINUTE_1])
    published_hours = read.candles(NAME, DAY, TODAY, "1h")[:36]
    prices = ["open", "high", "low", "close"]
    assert hours[prices].equals(published_hours[prices])
    assert np.allclose(hours["volume_quote"], published_hours["volume_quote"])


def test_no_candle_is_made_of_a_minute_in_which_trades_are_missing(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    backfill(DAY)
    of_day = len([trade for trade in published if trade["timestamp"] < START_MS + 86_400_000])
    today = published[of_day:]
    recording.frames(frames_of([*today[:300], *today[310:]]))

    def candles(resolution: str) -> Any:
        with pytest.warns(read.MissingTradesWarning):
            return read.candles(
                NAME, TODAY, None, resolution, recorded=True, complete_only=False, label="close"
            )

    hole = [from_ms(today[place]["timestamp"] // 60_000 * 60_000) for place in (299, 310)]
    minute, last = timedelta(minutes=1), from_ms(published[-1]["timestamp"] // 60_000 * 60_000)
    closed = {NOON.replace(hour=0) + n * minute for n in range(1, 720)}
    missing = {each for each in closed if hole[0] < each <= hole[1] + minute or each > last}
    assert set(candles("1").index) >= closed - missing
    assert not set(candles("1").index) & {each for each in missing if each <= last}
    hours = {each.replace(minute=0) for each in (hole[0], hole[1])}
    assert not set(candles("60").index) & {each + timedelta(hours=1) for each in hours}


def test_the_documents_example_returns_what_was_recorded_a_minute_ago(
    spool: Spool, published: list[Trade], backfill: Backfill
) -> None:
    a_minute_ago = to_ms(datetime.now(UTC)) - 60_000
    moved = [
        trade | {"timestamp": a_minute_ago + place} for place, trade in enumerate(published[:10])
    ]
    recording = TradeRecording(spool, STREAM, a_minute_ago)
    recording.frames(frames_of(moved))
    recording.close()
    [block] = re.findall(r"```python\n(.*?)```", (DOCS / "queries.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()) as printed:
        exec(block, names)
    assert len(names["newest"]) == 10
    assert str(published[0]["trade_seq"]) in printed.getvalue()


def test_several_instruments_are_marked_each_by_itself(
    recording: TradeRecording, published: list[Trade], backfill: Backfill
) -> None:
    other = "BTC-26APR24"
    theirs = [trade | {"instrument_name": other} for trade in published]
    recording.frames(
        frames_of([each for pair in zip(published, theirs, strict=True) for each in pair])
    )
    found = read_recorded(names=[NAME, other], frame="polars")
    assert found["instrument_name"].to_list()[:2] == [NAME, other]
    assert len(found) == 2 * len(published)
    assert not any(found["is_proved"])


def test_a_spool_that_cannot_have_the_trades_is_refused_in_one_sentence(
    recording: TradeRecording,
    backfill: Backfill,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match=r"No trades of SOL_USDC-PERPETUAL were ever recorded"):
        read_recorded(names="SOL_USDC-PERPETUAL")
    with pytest.raises(InputError, match="recorded must be True, or the folder"):
        read.trades(NAME, DAY, recorded=3, complete_only=False)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="as_of needs proved candles"):
        read.candles(NAME, DAY, as_of=DAY, recorded=True, complete_only=False)
    with pytest.raises(InputError, match="Nothing was recorded into .*elsewhere"):
        read.trades(NAME, DAY, recorded=tmp_path / "elsewhere", complete_only=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/spool.json").write_text('{"environment": "mainnet"}')
    with pytest.raises(SettingsError, match="holds recordings of mainnet"):
        read.trades(NAME, DAY, recorded="other", complete_only=False)
    monkeypatch.setenv("DERIBIT_ENV", "mainnet")
    monkeypatch.delenv("DERIBIT_SPOOL")
    with pytest.raises(InputError, match=r"Nothing was recorded into .*data/sandbox-spool"):
        read_recorded()
