"""Dagster's books in PostgreSQL: made by whoever comes first, whole for everyone else."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg
import psycopg2

from deribit_pipeline.defs import postgres
from deribit_pipeline_tests.deployment import books_in

TOGETHER = 4


def _open(home: Path, database: str) -> None:
    home.mkdir()
    overrides = books_in(database) | {"telemetry": {"enabled": False}}
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
    waiting = """
        select count(*) from pg_locks join pg_database on pg_database.oid = pg_locks.database
        where datname = current_database() and locktype = 'advisory' and not granted
    """
    with (
        ThreadPoolExecutor(1) as thread,
        closing(psycopg2.connect(database)) as maker,
        maker.cursor() as cursor,
    ):
        cursor.execute(postgres._LOCK.text)
        other = thread.submit(_open, tmp_path / "home", database)
        while not _one(cursor, waiting) and not other.done():
            time.sleep(0.01)
        assert _one(cursor, waiting) == 1
        assert _one(cursor, "select to_regclass('runs')") is None
        maker.rollback()
        other.result()
        assert _one(cursor, "select to_regclass('runs')") == "runs"


def _one(cursor: psycopg2.extensions.cursor, query: str) -> object:
    cursor.execute(query)
    row = cursor.fetchone()
    assert row
    return row[0]
