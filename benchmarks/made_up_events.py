"""Synthetic runs in Dagster's storage, to measure the UI with them."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_KINDS = ("ASSET_MATERIALIZATION_PLANNED", "ASSET_MATERIALIZATION")


@dataclass(frozen=True)
class Partition:
    """A partition of an asset."""

    asset: Sequence[str]
    key: str

    @property
    def stored(self) -> str:
        """The asset as Dagster's tables have it."""
        return json.dumps(self.asset)


def record_like(home: Path, model: Partition, asset: Sequence[str], keys: Iterable[str]) -> None:
    """Record partitions of an asset as a run recorded the partition `model`: copies of its two
    events with their tags, in the index that the UI reads."""
    copies = [Partition(asset, key) for key in keys]
    # `with connection:` would end the transaction but leave the file open.
    index = sqlite3.connect(home / "history" / "runs" / "index.db")
    try:
        index.execute("pragma synchronous = off")
        for kind in _KINDS:
            _copy(index, kind, model, copies)
        index.execute(
            "insert or ignore into asset_keys (asset_key, last_materialization, last_run_id, "
            "last_materialization_timestamp) select ?, replace(last_materialization, ?, ?), "
            "last_run_id, last_materialization_timestamp from asset_keys where asset_key = ?",
            (copies[0].stored, model.stored, copies[0].stored, model.stored),
        )
        index.commit()
    finally:
        index.close()


def _copy(
    index: sqlite3.Connection, kind: str, model: Partition, copies: Sequence[Partition]
) -> None:
    run, event, at, step = index.execute(
        "select run_id, event, timestamp, step_key from event_logs where dagster_event_type = ? "
        "and asset_key = ? and partition = ? order by id desc limit 1",
        (kind, model.stored, model.key),
    ).fetchone()
    [(last,)] = index.execute("select max(id) from event_logs").fetchall()
    event = event.replace(model.stored, copies[0].stored)
    index.executemany(
        "insert into event_logs (id, run_id, event, dagster_event_type, timestamp, step_key, "
        "asset_key, partition) values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (last + number, run, event.replace(model.key, copy.key), kind, at, step, copy.stored,
             copy.key)
            for number, copy in enumerate(copies, 1)
        ),
    )  # fmt: skip
    if kind == _KINDS[-1] and "|" in model.key:
        index.executemany(
            "insert into asset_event_tags (event_id, asset_key, key, value, event_timestamp) "
            "values (?, ?, ?, ?, ?)",
            (
                (last + number, copy.stored, f"dagster/partition/{name}", value, at)
                for number, copy in enumerate(copies, 1)
                for name, value in zip(("instrument", "utc_day"), copy.key.split("|"), strict=True)
            ),
        )
