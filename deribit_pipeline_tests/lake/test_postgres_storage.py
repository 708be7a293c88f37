"""Dagster's storage in PostgreSQL: created by the first process, and complete for all others."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.defs import postgres_storage as postgres
from deribit_pipeline.defs.assigned_once import assign, require_unmoved
from deribit_pipeline.errors import MovedInstruments
from deribit_pipeline_tests.helpers.deployment import storage_in
from deribit_pipeline_tests.helpers.lakes import locks, requested

TOGETHER = 4


def _open(home: Path, database: str) -> None:
    home.mkdir()
    overrides = storage_in(database) | {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(home), overrides=overrides) as instance:
        assert instance.get_runs() == []


def _open_together(home: Path, database: str, start: Barrier) -> None:
    start.wait()
    _open(home, database)


def test_processes_that_open_an_empty_database_at_once_all_start(
    tmp_path: Path, database: str
) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(TOGETHER, timeout=60)
    openers = [
        context.Process(target=_open_together, args=(tmp_path / str(number), database, start))
        for number in range(TOGETHER)
    ]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert [opener.exitcode for opener in openers] == [0] * TOGETHER


def test_whoever_opens_waits_for_the_one_that_makes_the_tables(
    tmp_path: Path, database: str
) -> None:
    """Together they collide now and then only: here one holds the lock until another waits."""
    is_there = "select to_regclass('runs') is not null"
    with (
        ThreadPoolExecutor(1) as thread,
        closing(psycopg2.connect(database)) as maker,
        maker.cursor() as cursor,
    ):
        cursor.execute(postgres._LOCK.text)
        other = thread.submit(_open, tmp_path / "home", database)
        while not locks(database, granted=False) and not other.done():
            time.sleep(0.01)
        assert len(locks(database, granted=False)) == 1
        assert requested(database, is_there) == [(False,)]
        maker.rollback()
        other.result()
        assert requested(database, is_there) == [(True,)]


def test_the_groups_of_instruments_are_shared_by_all_machines(
    tmp_path: Path, database: str
) -> None:
    overrides = storage_in(database) | {"telemetry": {"enabled": False}}
    candles, names = DATASETS["candles_1m"], ["SOL_USDC-PERPETUAL", "XRP_USDC-PERPETUAL"]
    for home in ("one", "other"):
        (tmp_path / home).mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "one"), overrides=overrides) as instance:
        assign(instance, candles, names[:1], "alts")
        assign(instance, candles, names, "alts")
    with dg.DagsterInstance.local_temp(str(tmp_path / "other"), overrides=overrides) as instance:
        groups = dict.fromkeys(names, "alts")
        assert require_unmoved(instance, groups) == groups
        with pytest.raises(MovedInstruments, match="the group alts"):
            assign(instance, candles, names[1:], "tail")
