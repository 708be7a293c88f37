"""Synthetic runs in Dagster's storage, to measure the UI with them."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

_KINDS = ("ASSET_MATERIALIZATION_PLANNED", "ASSET_MATERIALIZATION")


def record_like(home: Path, model: str, keys: Iterable[str]) -> None:
    """Record the partitions `keys` as a run recorded the partition `model`: copies of its two
    events with their tags, in the index that the UI reads."""
    copies = list(keys)
    # `with connection:` would end the transaction but leave the file open.
    index = sqlite3.connect(home / "history" / "runs" / "index.db")
    try:
        index.execute("pragma synchronous = off")
        for kind in _KINDS:
            _copy(index, kind, model, copies)
        index.commit()
    finally:
        index.close()


def _copy(index: sqlite3.Connection, kind: str, model: str, keys: list[str]) -> None:
    run, event, at, step, asset = index.execute(
        "select run_id, event, timestamp, step_key, asset_key from event_logs "
        "where dagster_event_type = ? and partition = ? order by id desc limit 1",
        (kind, model),
    ).fetchone()
    [(last,)] = index.execute("select max(id) from event_logs").fetchall()
    index.executemany(
        "insert into event_logs (id, run_id, event, dagster_event_type, timestamp, step_key, "
        "asset_key, partition) values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (last + number, run, event.replace(model, key), kind, at, step, asset, key)
            for number, key in enumerate(keys, 1)
        ),
    )
    if kind == _KINDS[-1]:
        index.executemany(
            "insert into asset_event_tags (event_id, asset_key, key, value, event_timestamp) "
            "values (?, ?, ?, ?, ?)",
            (
                (last + number, asset, f"dagster/partition/{name}", value, at)
                for number, key in enumerate(keys, 1)
                for name, value in zip(("instrument", "utc_day"), key.split("|"), strict=True)
            ),
        )
