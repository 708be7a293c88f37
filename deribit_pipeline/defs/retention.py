"""Delete old runs from Dagster's storage, without changing what the UI shows of instrument-days.

Dagster itself deletes a run with all its events, so that the days it materialized count as never
materialized. Here the newest materialization and the newest observation of each day stay in the
index that the UI reads, and so does each run that was the last attempt at a day and failed, because
the UI shows the day as failed by it.

The statements name tables of dagster 1.13, which pyproject.toml therefore pins, and a test compares
the result with Dagster's answers. Other processes may run meanwhile: the files are in SQLite's WAL
mode, in which readers never wait. Writers do: Dagster waits 30 s for its event log and 5 s for its
runs, and no transaction here takes longer than a second or two (measured: 1.3 s to rewrite an index
of 276 MB).
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from deribit_pipeline.errors import RecordingError

# Rows per transaction: some tenths of a second.
_TOGETHER = 2_000

# Seconds that a statement waits for locks, as long as Dagster's event log waits.
_PATIENCE = 30.0

# A file is vacuumed when at least a fifth of it, and at least a megabyte, is free. Less is soon
# reused by new events.
_WORTH_A_FIFTH, _WORTH_BYTES = 5, 1_000_000

_LENGTH_OF_ID = 36  # of a run's file name; the index has another name

# The keys under which a `dagster.yaml` configures each storage.
_PARTS = ("run_storage", "event_log_storage", "schedule_storage")

_OLD_RUNS = """
select run_id
from run_storage.runs
where status in ('SUCCESS', 'FAILURE', 'CANCELED')
  and update_timestamp < :before
  and coalesce(backfill_id, '') not in (
      select key from run_storage.bulk_actions where status in ('REQUESTED', 'CANCELING', 'FAILING')
  )
  and (status = 'SUCCESS' or run_id not in (
      select run_id
      from event_logs as attempt
      where dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'
        and not exists (
            select 1
            from event_logs as later
            where later.asset_key = attempt.asset_key
              and later.partition is attempt.partition
              and later.id > attempt.id
              and later.dagster_event_type in (
                  'ASSET_MATERIALIZATION', 'ASSET_MATERIALIZATION_PLANNED'
              )
        )
  ))
"""

# The newest event stays too: its id would be reused, and daemons remember the last id that they
# have read. Events without a run have an empty run_id.
_OLD_EVENTS = """
select id
from event_logs
where run_id <> ''
  and timestamp < :before
  and run_id not in (select run_id from run_storage.runs)
  and id <> (select max(id) from event_logs)
  and id not in (
      select max(id)
      from event_logs
      where dagster_event_type in ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION')
      group by dagster_event_type, asset_key, partition
  )
"""

# Of each check, the newest execution stays, and the newest with a result.
_OLD_CHECKS = """
select id
from asset_check_executions
where run_id not in (select run_id from run_storage.runs)
  and evaluation_event_timestamp < :before
  and id not in (
      select max(id)
      from asset_check_executions
      group by asset_key, check_name, partition, execution_status = 'PLANNED'
  )
"""

# A schedule continues from its newest tick.
_OLD_TICKS = """
select id
from job_ticks
where timestamp < :before
  and id not in (select max(id) from job_ticks group by coalesce(selector_id, job_origin_id))
"""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed: `runs`, and `freed` bytes on the disk."""

    runs: int
    freed: int


def old_runs(home: Path, before: datetime) -> list[str]:
    """The ids of the runs that `prune` would remove."""
    with _storage(home) as connection:
        return [] if connection is None else _ids(connection, _OLD_RUNS, before)


def prune(home: Path, before: datetime) -> Pruned:
    """Remove runs that finished before this time, with their events and logs, and ticks of
    schedules up to it. After a crash, running it again completes the work.

    Raises RecordingError if the disk or another process prevents it.
    """
    held = _size(home)
    with _storage(home) as connection:
        if connection is None:
            return Pruned(0, 0)
        runs = _ids(connection, _OLD_RUNS, before)
        _delete(connection, runs, "run_storage.run_tags.run_id", "run_storage.runs.run_id")
        events = _ids(connection, _OLD_EVENTS, before)
        _delete(connection, events, "asset_event_tags.event_id", "event_logs.id")
        checks = _ids(connection, _OLD_CHECKS, before)
        _delete(connection, checks, "asset_check_executions.id")
        _delete(connection, _ids(connection, _OLD_TICKS, before), "schedules.job_ticks.id")
        _unlink(home, set(runs), _known_runs(connection), before)
        for database in ("main", "run_storage", "schedules"):
            _shrink(connection, database)
    return Pruned(len(runs), max(0, held - _size(home)))


@contextmanager
def _storage(home: Path) -> Iterator[sqlite3.Connection | None]:
    """The index of events, with the runs attached as `run_storage` and the ticks as `schedules`;
    None if a home has none of them yet. Raises RecordingError if they cannot be read, or are not in
    this home."""
    _require_storage_here(home)
    files = {
        "main": home / "history" / "runs" / "index.db",
        "run_storage": home / "history" / "runs.db",
        "schedules": home / "schedules" / "schedules.db",
    }
    if not all(file.exists() for file in files.values()):
        yield None
        return
    index, *others = (f"{file.absolute().as_uri()}?mode=rw" for file in files.values())
    try:
        with closing(
            sqlite3.connect(index, timeout=_PATIENCE, isolation_level=None, uri=True)
        ) as connection:
            for name, other in zip(list(files)[1:], others, strict=True):
                connection.execute(f"attach ? as {name}", (other,))
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise RecordingError(
            f"Dagster's storage in DAGSTER_HOME {home} cannot be pruned ({error}): make room "
            "there, or try again when no other run is busy. The same command continues from there."
        ) from error


def _require_storage_here(home: Path) -> None:
    """Raise RecordingError if Dagster's storage is in a database elsewhere, even though former
    files may still be in the home."""
    configuration = home / "dagster.yaml"
    try:
        configured = yaml.safe_load(configuration.read_text()) if configuration.exists() else None
        here = _is_here(configured or {})
    except (yaml.YAMLError, AttributeError, ValueError) as error:
        raise RecordingError(
            f"{configuration} configures Dagster's storage in a way that is not understood: fix it."
        ) from error
    if not here:
        raise RecordingError(
            f"Dagster's storage of DAGSTER_HOME {home} is not in its folder, and only that can be "
            "pruned: delete old runs in Dagster's UI, or with dagster run delete."
        )


def _is_here(configuration: Mapping[str, Any]) -> bool:
    """Whether a `dagster.yaml` uses SQLite storage: Dagster's default, and the names of the stock
    classes and of ours."""
    [(kind, custom)] = configuration.get("storage", {"sqlite": {}}).items()
    parts = [configuration[name] for name in _PARTS if name in configuration]
    if kind == "custom":
        parts.append(custom)
    return kind in ("sqlite", "custom") and all("Sqlite" in part.get("class", "") for part in parts)


def _ids(connection: sqlite3.Connection, query: str, before: datetime) -> list[str]:
    moment = f"{before.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"  # SQLAlchemy's format
    return [row[0] for row in connection.execute(query, {"before": moment})]


def _delete(connection: sqlite3.Connection, ids: Sequence[str], *columns: str) -> None:
    """Delete the rows with one of the ids in a column, some thousand ids per transaction."""
    for begin in range(0, len(ids), _TOGETHER):
        connection.execute("begin immediate")
        for column in columns:
            table, _, name = column.rpartition(".")
            connection.execute(
                f"delete from {table} where {name} in (select value from json_each(?))",
                (json.dumps(ids[begin : begin + _TOGETHER]),),
            )
        connection.execute("commit")


def _known_runs(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("select run_id from run_storage.runs")}


def _unlink(home: Path, pruned: set[str], known: set[str], before: datetime) -> None:
    """Remove the files of pruned runs, and old files of unknown runs: left by a crash, or created
    by the UI when it looked for them."""
    for file in (home / "history" / "runs").glob("*.db"):
        run_id = file.stem
        if len(run_id) != _LENGTH_OF_ID or run_id in known:
            continue
        if run_id in pruned or file.stat().st_mtime < before.timestamp():
            for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
                file.with_name(name).unlink(missing_ok=True)


def _shrink(connection: sqlite3.Connection, database: str) -> None:
    """Return free pages to the disk if there are many. Concurrent readers continue; while they do,
    the file keeps its size."""
    pages, free, size = (
        connection.execute(f"pragma {database}.{name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    if free * _WORTH_A_FIFTH >= pages and free * size >= _WORTH_BYTES:
        connection.execute(f"vacuum {database}")
        connection.execute(f"pragma {database}.wal_checkpoint(passive)")


def _size(home: Path) -> int:
    return sum(
        _size_of(file) for folder in ("history", "schedules") for file in (home / folder).rglob("*")
    )


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:  # SQLite's side files exist only while a connection is open
        return 0
