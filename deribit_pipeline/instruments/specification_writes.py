"""Writes the instrument specifications of a response into the table `instruments`, where they are
new or differ from the current ones. Works on an open connection."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.specification import Specification
from deribit_pipeline.domain.windows import moment64
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS
from deribit_pipeline.warehouse.place import Connection

_TYPES = {column.name: column.type for column in INSTRUMENTS.columns}
_FIELDS = tuple(field.name for field in fields(Specification))
_LISTING = ("listed_at", "expires_at")
_TERMS = tuple(name for name in _FIELDS if name not in ("instrument_name", *_LISTING))


def _differ(names: Sequence[str]) -> str:
    return (
        "(" + " or ".join(f"latest.{name} is distinct from stored.{name}" for name in names) + ")"
    )


_NAMES = ", ".join(_FIELDS)
_CAST = ", ".join(
    f"nullif({name}, '') as {name}"
    if _TYPES[name] == "varchar"
    else f"{name}::{_TYPES[name]} as {name}"
    for name in _FIELDS
)
_IS_LISTED_OTHERWISE = _differ(_LISTING)
_IS_SPECIFIED_OTHERWISE = _differ(_TERMS)

# The incoming specifications, each with its current row in the table and the resulting outcome.
_INCOMING = f"""
    select latest.*, {_IS_LISTED_OTHERWISE} as is_listed_otherwise, case
        when stored.instrument_name is null then 'new'
        when stored.last_seen_at >= $as_of then 'older'
        when {_IS_SPECIFIED_OTHERWISE} and coalesce(latest.expires_at > $as_of, true) then 'changed'
        else 'unchanged'
    end as outcome
    from (select {_CAST} from incoming) as latest
    left join (from instruments where valid_to is null) as stored using (instrument_name)
"""

# Instruments whose listing is corrected.
_RELIST = """
    update instruments as stored
    set valid_from =
            if(stored.valid_from = stored.listed_at, latest.listed_at, stored.valid_from),
        listed_at = latest.listed_at,
        expires_at = latest.expires_at
    from latest
    where latest.instrument_name = stored.instrument_name
      and latest.is_listed_otherwise and latest.outcome in ('changed', 'unchanged')
"""

# Current rows: unchanged ones are seen again, changed ones end.
_SEE_OR_END = """
    update instruments as stored
    set last_seen_at = if(latest.outcome = 'unchanged', $as_of, stored.last_seen_at),
        valid_to = if(latest.outcome = 'changed', $as_of, null)
    from latest
    where latest.instrument_name = stored.instrument_name and stored.valid_to is null
      and latest.outcome in ('changed', 'unchanged')
"""

# The specifications that begin.
_BEGIN = f"""
    insert into instruments by name
    select {_NAMES}, if(outcome = 'new', listed_at, $as_of) as valid_from,
           null as valid_to, $as_of as first_seen_at, $as_of as last_seen_at,
           $run_id as run_id
    from latest where outcome in ('new', 'changed')
    order by listed_at, instrument_name
"""


@dataclass(frozen=True, slots=True)
class Written:
    """What a response changed in the table: the number of new instruments, the names with a changed
    specification, and the number of unchanged instruments."""

    new: int
    changed: tuple[str, ...]
    unchanged: int


def write_specifications(
    connection: Connection,
    specifications: Sequence[Specification],
    as_of: datetime,
    run_id: str,
) -> Written:
    """Write the specifications that the exchange returned at `as_of`, each instrument once.

    A specification that differs from the current one ends it at `as_of`. Expired instruments, and
    those seen later in another response, are not changed. `listed_at` and `expires_at` belong to
    the instrument: a correction applies to all of its rows.
    """
    moment = {"as_of": as_of}
    with _incoming(connection, specifications, as_of):
        connection.execute(_RELIST)
        connection.execute(_SEE_OR_END, moment)
        connection.execute(_BEGIN, moment | {"run_id": run_id})
        outcomes = connection.execute(
            "select outcome, instrument_name from latest order by instrument_name"
        ).fetchall()
    new = sum(outcome == "new" for outcome, _ in outcomes)
    changed = tuple(name for outcome, name in outcomes if outcome == "changed")
    return Written(new, changed, len(outcomes) - new - len(changed))


def differing_names(
    connection: Connection, specifications: Sequence[Specification], as_of: datetime
) -> set[str]:
    """The instruments whose incoming listing or specification differs from the stored one."""
    with _incoming(connection, specifications, as_of):
        found = connection.execute(
            """
            select instrument_name from latest
            where outcome = 'changed' or (outcome = 'unchanged' and is_listed_otherwise)
            """
        ).fetchall()
    return {name for (name,) in found}


@contextmanager
def _incoming(
    connection: Connection, specifications: Sequence[Specification], as_of: datetime
) -> Iterator[None]:
    """The incoming specifications and their outcomes, as the temporary table `latest`."""
    columns = {
        name: _array(name, [getattr(each, name) for each in specifications]) for name in _FIELDS
    }
    connection.register("incoming", columns)
    try:
        connection.execute(f"create temp table latest as {_INCOMING}", {"as_of": as_of})
    finally:
        connection.unregister("incoming")
    try:
        yield
    finally:
        connection.execute("drop table latest")


def _array(name: str, values: list[Any]) -> NDArray[Any]:
    """The values as an array that DuckDB reads fast: no nulls in times and numbers, no empty
    strings."""
    if _TYPES[name] == "timestamptz":
        return np.array([None if at is None else moment64(at) for at in values], "datetime64[ms]")
    if _TYPES[name] in ("double", "bigint"):
        return np.array(values, dtype=np.float64)
    return np.array([value or "" for value in values], dtype=object)
