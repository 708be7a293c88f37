"""Resolves the configured instruments: those named, and those that selectors find in the table
`instruments`."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.specification import CURRENCIES, CURRENCY
from deribit_pipeline.domain.windows import END_OF_TIME, TimeWindow, from_ms
from deribit_pipeline.engine.incomplete import held_series
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.instruments.history import listed_names, requested_at, seen_currencies
from deribit_pipeline.selection import Choice, Selector
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

EVER = TimeWindow(from_ms(0), END_OF_TIME)
"""All time: the window of what was ever listed."""

CURRENT = timedelta(hours=12)
"""How long a listing is current: new instruments are listed once a day."""


def with_universe(settings: Settings, warehouse: Warehouse) -> Settings:
    """The settings without selectors: `instruments` are all that DERIBIT_INSTRUMENTS and
    DERIBIT_GROUPS select, as of the last refresh of the table `instruments`.

    If the table cannot resolve the selectors, only the named instruments, with a warning that gives
    the remedy.
    """
    if not settings.selectors:
        return settings
    required = Choice(selectors=settings.selectors)
    found: tuple[str, ...] = ()
    why = ""
    try:
        found = chosen(warehouse, required)
        never = never_requested(warehouse, required.lists_among(known_currencies(warehouse)))
    except WarehouseError as error:
        why = f"the warehouse cannot be read ({error})"
    else:
        if never:
            why = f"the instruments of {', '.join(never)} have never been requested"
        elif not found:
            why = "the warehouse contains no such instrument"
    if why:
        logger.warning(
            "DERIBIT_INSTRUMENTS or DERIBIT_GROUPS selects %s, and %s: materialize the asset "
            "instruments, then reload the code location",
            ", ".join(map(str, settings.selectors)),
            why,
        )
    instruments = tuple(dict.fromkeys((*settings.instruments, *found)))
    return replace(settings, instruments=instruments, selectors=())


def known_currencies(warehouse: Warehouse) -> tuple[str, ...]:
    """The currencies known to the code, and those that the warehouse has seen."""
    with warehouse.reading(as_it_is=True) as connection:
        seen = [name for name in seen_currencies(connection) if CURRENCY.fullmatch(name)]
    return tuple(dict.fromkeys((*CURRENCIES, *seen)))


def never_requested(warehouse: Warehouse, currencies: Iterable[str]) -> tuple[str, ...]:
    """The currencies whose listing was never requested."""
    with warehouse.reading(as_it_is=True) as connection:
        requested = requested_at(connection)
    return tuple(currency for currency in currencies if currency not in requested)


def outdated(
    warehouse: Warehouse, currencies: Iterable[str], window: TimeWindow, now: datetime
) -> tuple[str, ...]:
    """The currencies whose listing may be missing instruments of the window: it was requested
    before the window's end, and not within hours of `now`, or never."""
    with warehouse.reading(as_it_is=True) as connection:
        requested = requested_at(connection)
    due = min(window.end, now - CURRENT)
    return tuple(name for name in currencies if name not in requested or requested[name] < due)


def chosen_names(
    connection: Connection, choice: Choice, window: TimeWindow | None = None
) -> tuple[str, ...]:
    """The named instruments, followed by those that the selectors add: what was listed at any time
    in the window, or as of the last response without one."""
    found = [
        name for selector in choice.selectors for name in listed_names(connection, selector, window)
    ]
    return tuple(dict.fromkeys((*choice.names, *found)))


def chosen(
    warehouse: Warehouse, choice: Choice, window: TimeWindow | None = None
) -> tuple[str, ...]:
    """As `chosen_names`, of a warehouse."""
    # An older warehouse is read without migrating it: reading must not change it.
    with warehouse.reading(as_it_is=True) as connection:
        return chosen_names(connection, choice, window)


@dataclass(frozen=True, slots=True)
class Matched:
    """How many instruments of a selector were listed in a window, of how many that it matches at
    any time, according to listings requested at `as_of`."""

    selector: Selector
    listed: int
    known: int
    as_of: datetime | None


def matched(warehouse: Warehouse, choice: Choice, window: TimeWindow) -> list[Matched]:
    """What each selector of the choice matches."""
    with warehouse.reading(as_it_is=True) as connection:
        requested = requested_at(connection)
        return [
            Matched(
                each,
                len(listed_names(connection, each, window)),
                len(listed_names(connection, each, EVER)),
                min((requested[c] for c in each.lists if c in requested), default=None),
            )
            for each in choice.selectors
        ]


def chosen_of_held(
    warehouse: Warehouse,
    choice: Choice,
    datasets: tuple[Dataset, ...] = (),
    window: TimeWindow | None = None,
) -> tuple[str, ...]:
    """The named instruments, followed by those that the selectors add and that have stored days of
    the datasets (of any dataset if none is given): what was listed at any time in the window, by
    default at any time."""
    with warehouse.reading() as connection:
        found = chosen_names(connection, choice, window or EVER)
    held = held_series(warehouse, Selection(datasets))
    return tuple(name for name in found if name in choice.names or name in held)
