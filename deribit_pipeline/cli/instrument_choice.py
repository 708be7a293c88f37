"""The instruments of the command line or of the settings, with selectors resolved to names."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime

from deribit_pipeline.cli.new_places import say_where_new
from deribit_pipeline.cli.terminal import stderr, warnings_on
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.windows import END_OF_TIME, TimeWindow, day_window, from_ms
from deribit_pipeline.engine.universe import (
    chosen,
    chosen_of_held,
    known_currencies,
    matched,
    never_requested,
    outdated,
)
from deribit_pipeline.errors import InputError
from deribit_pipeline.instruments.refresh import exchange_currencies, refresh
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.selection import Choice, choice_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse


def window_of(first: date | None, last: date | None) -> TimeWindow:
    """The days as a window; without a first or last day it is unbounded there."""
    return TimeWindow(
        day_window(first).start if first else from_ms(0),
        day_window(last).end if last else END_OF_TIME,
    )


def wanted(
    texts: Sequence[str] | None, settings: Settings, warehouse: Warehouse, window: TimeWindow
) -> tuple[str, ...]:
    """The instruments of `--instruments`, or of the settings if it was not given.

    Selectors select what was listed at any time in the window, and how many is printed. Lists that
    they need are fetched from the exchange, and stored in the warehouse, if they were requested
    before the window's end. Raises InputError if nothing is selected.
    """
    if texts is None:
        which = Choice(settings.instruments, settings.selectors)
        whose = (
            "DERIBIT_INSTRUMENTS or DERIBIT_GROUPS" if settings.groups else "DERIBIT_INSTRUMENTS"
        )
    else:
        which, whose = choice_of(texts, "--instruments"), "--instruments"
    if not which.selectors:
        return which.names
    now = datetime.now(UTC)
    if outdated(warehouse, which.lists_among(known_currencies(warehouse)), window, now):

        def lists(known: tuple[str, ...]) -> tuple[str, ...]:
            named = [each.currency for each in which.selectors if each.currency]
            require_currencies(f"{whose} holds a selector whose currency", named, known)
            return outdated(warehouse, which.lists_among(known), window, now)

        refresh_all(settings, warehouse, lists)
    found = chosen(warehouse, which, window)
    matches = matched(warehouse, which, window)
    for each in matches:
        as_of = f", according to the listings of {each.as_of:%Y-%m-%d %H:%M} UTC"
        stderr().print(
            f"{each.listed:,} of {each.known:,} {each.selector.described} were listed in the "
            f"window{as_of if each.as_of else ''}.",
            soft_wrap=True,
        )
    if not found:
        raise InputError(
            f"{whose} matches no instrument that was listed in the window: check the spelling and "
            "the days; deribit-pipeline instruments lists what there is."
        )
    return found


def of_held(
    texts: Sequence[str] | None,
    settings: Settings,
    datasets: tuple[Dataset, ...],
    window: TimeWindow,
) -> tuple[str, ...]:
    """The instruments of `--instruments`, none if it was not given. Selectors select among the
    instruments with a stored day of the datasets those that were listed at any time in the window.

    Raises InputError if they select nothing that is stored.
    """
    if texts is None:
        return ()
    which = choice_of(texts, "--instruments")
    if not which.selectors:
        return which.names
    warehouse = warehouse_of(settings)
    found = chosen_of_held(warehouse, which, datasets, window)
    lists = which.lists_among(known_currencies(warehouse))
    unknown = unknown_of(never_requested(warehouse, lists))
    if not found:
        raise InputError(
            f"--instruments matches no instrument with days in {settings.warehouse}.{unknown}"
        )
    if unknown:
        stderr().print(unknown.strip())
    return found


def unknown_of(currencies: Collection[str]) -> str:
    """A sentence about currencies whose instruments were never requested; empty if none are
    given."""
    if not currencies:
        return ""
    return (
        f" Never requested: instruments of {', '.join(currencies)}; run deribit-pipeline "
        "instruments --refresh."
    )


def require_currencies(what: str, names: Collection[str], known: Collection[str]) -> None:
    """Raise InputError for a currency that the exchange never had."""
    for name in names:
        if name not in known:
            raise InputError(f"{what} must be one of {', '.join(known)}, was {name!r}.")


def refresh_all(
    settings: Settings,
    warehouse: Warehouse,
    lists: Callable[[tuple[str, ...]], tuple[str, ...]],
) -> bool:
    """Fetch the instruments from the exchange and print the number of changes; returns whether
    everything was received. `lists` selects from the currencies that are known or that the
    exchange returns."""
    console, is_whole = stderr(), True
    with warnings_on(console), open_exchange(settings) as exchange:
        known = (*known_currencies(warehouse), *exchange_currencies(exchange))
        requested = lists(tuple(dict.fromkeys(known)))
        if requested and warehouse.location == settings.warehouse:  # a plan has a temporary one
            say_where_new(settings.warehouse)
        for currency in requested:
            result = refresh(exchange, warehouse, currency)
            console.print(
                f"Instruments of {currency}: {result.new:,} new, {len(result.changed):,} changed, "
                f"{result.unchanged:,} unchanged."
            )
            is_whole &= not (result.failed or result.malformed or result.unconfirmed)
    return is_whole
