"""The spool's files: what was written is read back, whatever happens to the rest."""

import os
import subprocess
import sys
import zlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.errors import InputError, SettingsError, SpoolError
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import (
    FAILURE,
    RESPONSE,
    Damage,
    Entry,
    packed,
    read_entries,
    read_newest_first,
)
from deribit_pipeline.spool.writer import StreamWriter

NOON = datetime(2024, 4, 10, 12, tzinfo=UTC)
STREAM = "book_summaries/BTC"


def spool_at(root: Path, environment: Environment = Environment.SANDBOX) -> Spool:
    return Spool(root, environment, keep_days=0, every=timedelta(minutes=5))


def response(number: int, body: bytes = b"") -> Entry:
    """A distinct response; its body has line feeds and bytes that are no text."""
    at = NOON + timedelta(seconds=number)
    body = body or f'{{"result": {number},\n"x": "'.encode() + bytes(range(256)) + b'"}\n'
    return Entry(RESPONSE, at, at + timedelta(microseconds=7), {"slot_ms": number}, body)


def written(path: Path, numbers: range) -> list[Entry]:
    entries = [response(number) for number in numbers]
    path.write_bytes(b"".join(packed([entry]) for entry in entries))
    return entries


@pytest.mark.parametrize("damaged", [None, 0, 1, 2])
def test_the_newest_entries_are_read_first_and_damage_costs_its_member(
    tmp_path: Path, damaged: int | None
) -> None:
    members = [packed([response(2 * n), response(2 * n + 1)]) for n in range(3)]
    if damaged is not None:
        middle = len(members[damaged]) // 2
        flipped = bytes([members[damaged][middle] ^ 1])
        members[damaged] = members[damaged][:middle] + flipped + members[damaged][middle + 1 :]
    file = tmp_path / "12.gz"
    file.write_bytes(b"".join(members) + members[0][:20])
    found = list(read_newest_first(file))
    assert found == list(read_entries(file))[::-1]
    assert len(found) == (6 if damaged is None else 4)


def test_long_members_and_long_damage_are_passed_over(tmp_path: Path) -> None:
    long = [response(number, Random(number).randbytes(2_500_000)) for number in range(3)]
    members = [packed([each]) for each in long]
    file = tmp_path / "12.gz"
    for place in range(3):
        broken = list(members)
        broken[place] = broken[place][:1_000_000] + b"x" + broken[place][1_000_001:]
        file.write_bytes(b"".join(broken))
        damage = Damage()
        left = long[:place] + long[place + 1 :]
        assert list(read_entries(file, damage)) == left
        assert (damage.places, damage.skipped) == (1, len(members[place]))
        assert list(read_newest_first(file)) == left[::-1]


def test_a_file_that_is_truncated_while_it_is_read_ends_early(tmp_path: Path) -> None:
    file = tmp_path / "12.gz"
    entries = written(file, range(2_000))
    for read, expected in ((read_entries, entries), (read_newest_first, entries[::-1])):
        file.write_bytes(b"".join(packed([entry]) for entry in entries))
        found = read(file)
        first = next(found)
        os.truncate(file, 100)
        assert [first] == expected[:1]
        assert list(found) == []


def test_an_empty_file_has_no_newest_entry(tmp_path: Path) -> None:
    (tmp_path / "12.gz").touch()
    assert list(read_newest_first(tmp_path / "12.gz")) == []


def test_what_was_written_is_read_back_to_the_last_byte(tmp_path: Path) -> None:
    spool = spool_at(tmp_path / "spool")
    writer = StreamWriter(spool, STREAM)
    entries = [response(1), Entry(FAILURE, NOON, None, {"reason": "it was away"}), response(2)]
    for entry in entries:
        writer.write(NOON, [entry])
    assert list(spool.entries(STREAM, NOON.date())) == entries  # while the file is open
    writer.close()
    assert list(spool.entries(STREAM, NOON.date())) == entries
    [file] = spool.files(STREAM, NOON.date())
    assert zlib.decompressobj(31).decompress(file.read_bytes()).startswith(b'{"event": "response"')


@given(cut=st.integers(min_value=0, max_value=4_000))
def test_a_torn_file_ends_with_the_last_whole_entry(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "12.gz"
    entries = written(path, range(6))
    ends = [len(packed([entry])) for entry in entries]
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    complete = sum(sum(ends[: n + 1]) <= cut for n in range(len(entries)))
    damage = Damage()
    assert list(read_entries(path, damage)) == entries[:complete]
    assert damage.skipped == min(cut, len(whole)) - sum(ends[:complete])


@given(position=st.integers(min_value=0, max_value=10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_the_entry_that_has_it_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "12.gz"
    entries = written(path, range(6))
    content = bytearray(path.read_bytes())
    position %= len(content)
    content[position] ^= 1 << bit
    path.write_bytes(content)
    ends = [len(packed([entry])) for entry in entries]
    hit = next(n for n in range(6) if sum(ends[: n + 1]) > position)
    found = list(read_entries(path))
    assert found in (entries, entries[:hit] + entries[hit + 1 :])  # some header bits mean nothing


def test_each_start_begins_a_file_of_its_own_and_closed_files_are_immutable(tmp_path: Path) -> None:
    spool = spool_at(tmp_path / "spool")
    for number in range(12):
        writer = StreamWriter(spool, STREAM)
        writer.write(NOON, [response(number)])
        writer.close()
    writer = StreamWriter(spool, STREAM)
    writer.write(NOON, [response(12)])
    writer.write(NOON + timedelta(hours=1), [response(13)])
    writer.close()
    files = spool.files(STREAM, NOON.date())
    assert [file.name for file in files[:3]] == ["12.gz", "12-2.gz", "12-3.gz"]
    assert files[-1].name == "13.gz"
    assert {file.stat().st_mode & 0o777 for file in files} == {0o444}
    assert [e.facts["slot_ms"] for e in spool.entries(STREAM, NOON.date())] == list(range(14))


def test_what_somebody_else_put_into_a_spool_is_no_recording_and_stays(tmp_path: Path) -> None:
    spool = spool_at(tmp_path / "spool")
    StreamWriter(spool, STREAM).write(NOON, [response(1)])
    stream, day = spool.root / STREAM, spool.folder(STREAM, NOON.date())
    (stream / "2024-04-11").write_text("no folder")
    for folder in ("2024-13-01", "2024-W15-3", "last-month", "2024-04-12"):
        (stream / folder).mkdir()
    for name in ("copy.gz", "24.gz", "12-0.gz", "12.gz.part", "12-x.gz"):
        (day / name).write_text("no recording")
        (stream / "2024-04-12" / name).write_text("no recording")
    assert spool.days(STREAM) == [NOON.date()]
    assert list(spool.hours(STREAM, NOON.date())) == [12]
    assert list(spool.newest_first(STREAM)) == [response(1)]
    spool.remove(STREAM, NOON.date())
    assert spool.days(STREAM) == []
    assert (day / "copy.gz").exists()


@pytest.mark.parametrize(("call", "verb"), [("unlink", "removed"), ("listdir", "read")])
def test_a_folder_that_is_not_ours_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, verb: str
) -> None:
    spool = spool_at(tmp_path / "spool")
    StreamWriter(spool, STREAM).write(NOON, [response(1)])

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, call, refused)
    with pytest.raises(SpoolError, match=rf"2024-04-10 cannot be {verb} \(Permission denied\)"):
        spool.remove(STREAM, NOON.date())


def test_a_full_disk_loses_what_it_has_no_room_for_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_at(tmp_path / "spool")
    writer = StreamWriter(spool, STREAM)
    writer.write(NOON, [response(1)])
    write, room = os.write, [40]

    def full(file: int, data: bytes) -> int:
        taken = data[: room[0]]
        room[0] -= len(taken)
        if not taken:
            raise OSError(28, "No space left on device")
        return write(file, taken)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(SpoolError, match="No space left on device"):
            writer.write(NOON, [response(2)])
    writer.write(NOON, [response(3)])
    writer.close()
    damage = Damage()
    found = list(spool.entries(STREAM, NOON.date(), damage))
    assert [entry.facts["slot_ms"] for entry in found] == [1, 3]
    assert damage == Damage()


def test_a_disk_that_stays_full_is_not_filled_with_empty_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_at(tmp_path / "spool")
    writer = StreamWriter(spool, STREAM)
    writer.write(NOON, [response(1)])

    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for number in range(5):
            with pytest.raises(SpoolError, match="No space left on device"):
                writer.write(NOON, [response(number)])
    writer.write(NOON, [response(6)])
    writer.close()
    assert [file.name for file in spool.files(STREAM, NOON.date())] == ["12.gz", "12-2.gz"]


def test_a_second_recorder_is_refused_and_names_the_first(tmp_path: Path) -> None:
    spool = spool_at(tmp_path / "spool")
    with spool.recording():
        assert spool.recorder() == os.getpid()
        with pytest.raises(InputError, match=f"Process {os.getpid()} is recording"):
            spool_at(tmp_path / "spool").recording().__enter__()
    assert spool.recorder() is None
    with spool.recording():
        assert spool.exists()


def test_a_killed_recorder_leaves_no_lock_behind(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    program = (
        "import os, signal; from datetime import timedelta; from pathlib import Path\n"
        "from deribit_pipeline.domain.environment import Environment\n"
        "from deribit_pipeline.spool.folder import Spool\n"
        f"spool = Spool(Path({str(root)!r}), Environment.SANDBOX, keep_days=0, "
        "every=timedelta(minutes=5))\n"
        "with spool.recording(): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with spool_at(root).recording():
        assert spool_at(root).recorder() == os.getpid()


def test_a_spool_of_another_environment_is_refused(tmp_path: Path) -> None:
    with spool_at(tmp_path / "spool").recording():
        pass
    other = spool_at(tmp_path / "spool", Environment.MAINNET)
    with pytest.raises(SettingsError, match="holds recordings of sandbox"):
        other.exists()
    with pytest.raises(SettingsError, match="holds recordings of sandbox"):
        other.recording().__enter__()


def test_a_folder_with_other_files_does_not_become_a_spool(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SettingsError, match="is not a spool, and not empty"):
        spool_at(tmp_path).recording().__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_days_and_newest_are_those_of_the_files(tmp_path: Path) -> None:
    spool = spool_at(tmp_path / "spool")
    assert (spool.days(STREAM), [*spool.newest_first(STREAM)], spool.streams()) == ([], [], [])
    writer = StreamWriter(spool, STREAM)
    writer.write(NOON, [response(1)])
    writer.write(NOON + timedelta(days=1), [response(86_400), Entry(FAILURE, NOON)])
    writer.close()
    assert spool.days(STREAM) == [date(2024, 4, 10), date(2024, 4, 11)]
    newest = [each.event for each in spool.newest_first(STREAM)]
    assert newest == [FAILURE, RESPONSE, RESPONSE]
    assert spool.streams() == [STREAM]
    spool.remove(STREAM, date(2024, 4, 10))
    assert spool.days(STREAM) == [date(2024, 4, 11)]
