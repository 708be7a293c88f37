"""The files of the rate limit are accessible to this user only, and errors about them name the
file."""

import asyncio
import fcntl
import os
import signal
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from deribit_pipeline.errors import SettingsError
from deribit_pipeline.exchange.rate_limit_files import own_folder
from deribit_pipeline.exchange.rate_limiter import FileBucket, RateLimitUnreachable, file_bucket
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.cli.test_signals import assert_it_ends
from deribit_pipeline_tests.helpers.processes import SCRIPT, environment, started, wait_until
from deribit_pipeline_tests.helpers.slow_rate_limits import pool_of, waits

PLACES = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME", "TMPDIR")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which every place of a user's files is, as the environment names them."""
    for name in PLACES:
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_folder_that_is_named_is_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [own_folder()]
    for name in PLACES[:2]:
        monkeypatch.delenv(name)
        found.append(own_folder())
    monkeypatch.setenv("HOME", "/proc/no-home")
    found.append(own_folder())
    own = f"deribit-pipeline-{os.geteuid()}"
    assert [str(folder.relative_to(place)) for folder in found] == [
        "XDG_RUNTIME_DIR/deribit-pipeline",
        "XDG_STATE_HOME/deribit-pipeline",
        "HOME/.local/state/deribit-pipeline",
        f"TMPDIR/{own}",
    ]
    assert {mode(folder) for folder in found} == {0o700}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_file_is_readable_and_writable_by_its_user_alone(mask: int) -> None:
    former = os.umask(mask)
    try:
        assert waits(pool_of(file_bucket("an exchange", "calls")), calls=1) == [0.0]
    finally:
        os.umask(former)
    [file] = own_folder().iterdir()
    assert mode(file) == 0o600


def test_a_folder_that_others_may_enter_is_passed_over(place: Path) -> None:
    (place / "XDG_RUNTIME_DIR" / "deribit-pipeline").mkdir()
    (place / "XDG_RUNTIME_DIR" / "deribit-pipeline").chmod(0o755)
    assert own_folder() == place / "XDG_STATE_HOME" / "deribit-pipeline"


def test_a_link_in_the_place_of_the_folder_is_not_followed(place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (place / "XDG_RUNTIME_DIR" / "deribit-pipeline").symlink_to(elsewhere)
    assert own_folder() == place / "XDG_STATE_HOME" / "deribit-pipeline"
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_another_user_is_passed_over(place: Path) -> None:
    os.chown(place / "XDG_RUNTIME_DIR", 65534, 65534)
    (place / "XDG_RUNTIME_DIR" / "deribit-pipeline").mkdir(mode=0o700)
    os.chown(place / "XDG_RUNTIME_DIR" / "deribit-pipeline", 65534, 65534)
    assert own_folder() == place / "XDG_STATE_HOME" / "deribit-pipeline"


def test_without_any_folder_each_that_was_tried_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PLACES:
        (place / name).rmdir()
        (place / name).write_text("a file")
    monkeypatch.setattr("tempfile.tempdir", str(place / "TMPDIR"))
    with pytest.raises(
        SettingsError, match="only this user can write, and none is usable"
    ) as caught:
        own_folder()
    for name in PLACES[1:2] + PLACES[3:]:
        assert str(place / name) in str(caught.value)
    assert "set XDG_RUNTIME_DIR" in str(caught.value)


def make_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def make_link(path: Path) -> None:
    path.with_name("target").write_bytes(b"theirs")
    path.symlink_to("target")


def make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [make_pipe, make_link, make_folder])
def test_what_is_no_regular_file_is_one_sentence(make: object, tmp_path: Path) -> None:
    make(tmp_path / "calls")  # type: ignore[operator]
    with pytest.raises(SettingsError, match=f"file {tmp_path}/calls cannot be used") as caught:
        waits(pool_of(FileBucket(tmp_path / "calls")), calls=1)
    assert "\n" not in str(caught.value)


def test_a_file_that_others_could_write_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "calls").touch()
    (tmp_path / "calls").chmod(0o666)
    waits(pool_of(FileBucket(tmp_path / "calls")), calls=1)
    assert mode(tmp_path / "calls") == 0o600


def test_a_lock_that_is_never_released_ends_in_a_sentence_that_names_the_file(
    tmp_path: Path,
) -> None:
    bucket = FileBucket(tmp_path / "calls", patience=0.01)
    with (tmp_path / "calls").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RateLimitUnreachable, match=f"{tmp_path}/calls has been locked"):
            asyncio.run(bucket.advance(at_least=0, by=1, at_most=10))
    assert asyncio.run(bucket.advance(at_least=0, by=1, at_most=10)) > 0


def open_files(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(descriptor))
    return found


@pytest.mark.processes
def test_sigterm_ends_a_backfill_that_waits_for_the_lock(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    file = own_folder() / file_bucket("sandbox www", "calls")._path.name
    with file.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        command = [str(SCRIPT), "backfill", "--start", "2024-01-01", "--end", "2024-01-02"]
        assert environment(settings)["XDG_RUNTIME_DIR"] == str(tmp_path)
        with started(command, settings) as process:
            wait_until(lambda: str(file) in open_files(process.pid), process)
            process.send_signal(signal.SIGTERM)
            assert_it_ends(process, "SIGTERM")
