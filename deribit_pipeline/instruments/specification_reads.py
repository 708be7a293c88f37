"""Every specification that an instrument has had. Works on an open connection."""

from dataclasses import fields
from datetime import datetime

from deribit_pipeline.domain.specification import Specification
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.warehouse.connections import has_table
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS
from deribit_pipeline.warehouse.place import Connection

_TIMES = ("listed_at", "expires_at")
_FIELDS = tuple(field.name for field in fields(Specification))
_READ = ", ".join(f"epoch_ms({name})" if name in _TIMES else name for name in _FIELDS)


def specifications_of(
    connection: Connection, name: str, until: datetime
) -> tuple[Specification | None, list[Specification]]:
    """The specification of an instrument that applied just before an instant, or the first one that
    is known; and every one that it has had. None if it is not stored."""
    if not has_table(connection, INSTRUMENTS.name):
        return None, []
    rows = connection.execute(
        f"select valid_from < $until, {_READ} from instruments where instrument_name = $name "
        "order by valid_from",
        {"name": name, "until": until},
    ).fetchall()
    every = [_specification(row[1:]) for row in rows]
    applied = [each for (is_before, *_), each in zip(rows, every, strict=True) if is_before]
    return next(iter([*applied[-1:], *every[:1]]), None), every


def _specification(row: tuple[object, ...]) -> Specification:
    values = dict(zip(_FIELDS, row, strict=True))
    times = {name: from_ms(ms) for name in _TIMES if isinstance(ms := values[name], int)}
    return Specification(**{**values, **times})  # type: ignore[arg-type]
