"""What the recorder wrote is read before a backfill stores it, and marked."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deribit_pipeline import read
from deribit_pipeline.datasets.trades import recorded_tail
from deribit_pipeline.domain.windows import from_ms, to_ms
from deribit_pipeline.errors import IncompleteDays, InputError, SettingsError, SpoolError
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import Damage, Entry, read_entries
from deribit_pipeline_tests.conftest import Clock, every_store
from deribit_pipeline_tests.helpers.recorded_reads import NOON, Backfill, proved, read_recorded
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
    frames_of,
)

DOCS = Path(__file__).parents[2] / "docs"

Frames = list[Frame]


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
