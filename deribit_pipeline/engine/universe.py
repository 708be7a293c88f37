"""The instruments that are wanted: those that are named, and those that selectors find among the
instruments that the warehouse knows."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.specification import CURRENCIES, CURRENCY
from deribit_pipeline.engine.incomplete import held_series
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.instruments.history import asked_at, listed_names, seen_currencies
from deribit_pipeline.selection import Choice
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


def with_universe(settings: Settings, warehouse: Warehouse) -> Settings:
    """The settings without selectors: `instruments` are all that DERIBIT_INSTRUMENTS says, as of
    the last refresh of the table `instruments`.

    Where the table cannot tell, those that are named, and a warning that says what to do.
    """
    if not settings.selectors:
        return settings
    wanted = Choice(selectors=settings.selectors)
    found: tuple[str, ...] = ()
    why = ""
    try:
        found = chosen(warehouse, wanted)
        never = never_asked(warehouse, wanted.lists_among(known_currencies(warehouse)))
    except WarehouseError as error:
        why = f"what it means is unknown ({error})"
    else:
        if never:
            why = f"the exchange was never asked for instruments of {', '.join(never)}"
        elif not found:
            why = "the warehouse knows no such instrument"
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
    """The currencies by which instruments are listed, and those that the warehouse has seen."""
    with warehouse.reading(as_it_is=True) as connection:
        seen = [name for name in seen_currencies(connection) if CURRENCY.fullmatch(name)]
    return tuple(dict.fromkeys((*CURRENCIES, *seen)))


def never_asked(warehouse: Warehouse, currencies: Iterable[str]) -> tuple[str, ...]:
    """Those of the currencies of which the exchange was never asked for its instruments."""
    with warehouse.reading(as_it_is=True) as connection:
        asked = asked_at(connection)
    return tuple(currency for currency in currencies if currency not in asked)


def chosen(warehouse: Warehouse, choice: Choice) -> tuple[str, ...]:
    """The names, and after them what the selectors add, as of when the exchange last told."""
    # An older file is read as it is: to look is not to change.
    with warehouse.reading(as_it_is=True) as connection:
        found = [
            name for selector in choice.selectors for name in listed_names(connection, selector)
        ]
    return tuple(dict.fromkeys((*choice.names, *found)))


def chosen_of_held(
    warehouse: Warehouse, choice: Choice, datasets: tuple[Dataset, ...] = ()
) -> tuple[str, ...]:
    """The names, and after them those that the selectors add of which any day of the datasets is
    held (of all, where none is given): expired ones too, for what is held stays."""
    with warehouse.reading() as connection:
        found = [
            name
            for selector in choice.selectors
            for name in listed_names(connection, selector.with_expired())
        ]
    held = held_series(warehouse, Selection(datasets))
    return tuple(dict.fromkeys((*choice.names, *(name for name in found if name in held))))
