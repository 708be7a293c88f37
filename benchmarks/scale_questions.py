"""What is asked of a warehouse with a long history, each question in a process of its own.

Prints, as JSON, the seconds of the first time in the process, which opens the warehouse, and the
best of the later ones. Arguments: the question, and the last day of the history.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial

from scale_history import FETCHED_AT, name_of

from deribit_pipeline import read
from deribit_pipeline.datasets import CANDLES, Selection
from deribit_pipeline.domain import Resolution
from deribit_pipeline.operations.incomplete import incomplete_days
from deribit_pipeline.operations.verification import verify
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.dataset_rules import rules_of
from deribit_pipeline.warehouse.proofs import proofs
from deribit_pipeline.warehouse.rules import Rule, breaches
from deribit_pipeline.warehouse.warehouse import Warehouse

MINUTES = CANDLES[Resolution.MINUTE_1]

_NAME = name_of(1)

_REPEATED = 2


def questions(last: date) -> dict[str, Callable[[], object]]:
    """The questions by their titles; each stops where the answer is not the whole of it."""
    settings = Settings.load()
    warehouse = Warehouse(settings.warehouse, settings.environment)
    first = last - timedelta(days=364)
    asked: dict[str, Callable[[], object]] = {
        "the proofs of all days": partial(_proofs, warehouse),
        "what is incomplete, as `repair` asks": partial(_incomplete, warehouse),
        "`read.candles` of a year of minutes": partial(_read, first, last, "1", 365 * 1_440),
        "the same, rolled up to hours": partial(_read, first, last, "60", 365 * 24),
        "`candles_as_of`, a year of minutes": partial(_as_of, warehouse, first, last),
        "`verify` of a year of minutes": partial(_verify, warehouse, first, last),
    }
    return asked | {
        f"the check `{rule.name}`": partial(_check, warehouse, rule, last)
        for rule in rules_of(MINUTES)
    }


def _proofs(warehouse: Warehouse) -> None:
    with warehouse.reading() as connection:
        assert proofs(connection, Selection())


def _incomplete(warehouse: Warehouse) -> None:
    assert not incomplete_days(warehouse, FETCHED_AT, Selection()).days


def _read(first: date, last: date, resolution: str, rows: int) -> None:
    assert len(read.candles(_NAME, first, last, resolution)) == rows


def _as_of(warehouse: Warehouse, first: date, last: date) -> None:
    with warehouse.reading() as connection:
        found = connection.execute(
            "from candles_as_of($moment) where instrument_name = $name and resolution = '1' "
            "and opened_at >= cast($first as timestamptz) "
            "and opened_at < cast($last as timestamptz) + interval 1 day",
            {"moment": datetime.now(UTC), "name": _NAME, "first": first, "last": last},
        ).fetchnumpy()
    assert len(found["opened_at"]) == 365 * 1_440


def _verify(warehouse: Warehouse, first: date, last: date) -> None:
    found = verify(warehouse, Selection((MINUTES,), (_NAME,), first, last))
    assert (found.days, found.findings) == (365, [])


def _check(warehouse: Warehouse, rule: Rule, last: date) -> None:
    with warehouse.reading() as connection:
        assert not breaches(connection, rule, rule.parameters(MINUTES, (_NAME,), last)).count


def main(title: str, last: str) -> None:
    """Ask one question, again and again."""
    ask, seconds = questions(date.fromisoformat(last))[title], []
    for _ in range(_REPEATED):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    print(json.dumps([seconds[0], min(seconds[1:])]))


if __name__ == "__main__":
    main(*sys.argv[1:])
