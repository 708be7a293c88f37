"""DAGSTER_HOME: created by the first process, and complete for all others."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import pytest

from deribit_pipeline.home import prepare_home

TOGETHER = 4


def _open(home: str, start: Barrier) -> None:
    start.wait()
    prepare_home(Path(home))
    with dg.DagsterInstance.get() as instance:
        instance.get_runs()


def test_processes_that_open_a_fresh_home_at_once_all_start(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # so that Dagster is imported once
    start = context.Barrier(TOGETHER)
    openers = [
        context.Process(target=_open, args=(str(tmp_path / "home"), start)) for _ in range(TOGETHER)
    ]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert [opener.exitcode for opener in openers] == [0] * TOGETHER
    left = {path.name for path in (tmp_path / "home").iterdir()}
    assert left == {"dagster.yaml", "history", "schedules"}


def test_what_a_process_left_that_died_on_a_fresh_home_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / ".dagster.yaml.new").write_text("storage: {custom: {mod")
    (tmp_path / ".new" / "history").mkdir(parents=True)
    (tmp_path / ".new" / "history" / "runs.db").write_text("half a database")
    prepare_home(tmp_path)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs() == []
    assert {path.name for path in tmp_path.iterdir()} == {"dagster.yaml", "history", "schedules"}


def test_a_dagster_yaml_of_ones_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    prepare_home(tmp_path)
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


@pytest.mark.parametrize(
    "former", sorted((Path(__file__).parent / "former").iterdir()), ids=lambda path: path.name
)
def test_what_a_former_version_gave_a_home_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, former: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_bytes(former.read_bytes())
    prepare_home(tmp_path)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs() == []
