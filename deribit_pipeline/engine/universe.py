"""Resolves the configured instruments: those named, and those that selectors find in the table
`instruments`."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.specification import CURRENCIES, CURRENCY
from deribit_pipeline.engine.incomplete import held_series
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.instruments.history import listed_names, requested_at, seen_currencies
from deribit_pipeline.selection import Choice
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


def with_universe(settings: Settings, warehouse: Warehouse) -> Settings:
    """The settings without selectors: `instruments` are all instruments that DERIBIT_INSTRUMENTS
    chooses, as of the last refresh of the table `instruments`.

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
            "DERIBIT_INSTRUMENTS selects %s, and %s: materialize the asset instruments, then "
            "reload the code location",
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


def chosen(warehouse: Warehouse, choice: Choice) -> tuple[str, ...]:
    """The named instruments, followed by those that the selectors add, as of the last response."""
    # An older warehouse is read without migrating it: reading must not change it.
    with warehouse.reading(as_it_is=True) as connection:
        found = [
            name for selector in choice.selectors for name in listed_names(connection, selector)
        ]
    return tuple(dict.fromkeys((*choice.names, *found)))


def chosen_of_held(
    warehouse: Warehouse, choice: Choice, datasets: tuple[Dataset, ...] = ()
) -> tuple[str, ...]:
    """The named instruments, followed by those that the selectors add and that have stored days of
    the datasets (of any dataset if none is given); includes expired instruments, whose days stay
    stored."""
    with warehouse.reading() as connection:
        found = [
            name
            for selector in choice.selectors
            for name in listed_names(connection, selector.with_expired())
        ]
    held = held_series(warehouse, Selection(datasets))
    return tuple(dict.fromkeys((*choice.names, *(name for name in found if name in held))))
