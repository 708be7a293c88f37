"""The instruments that were typed or set, by name and by selector, as names."""

from collections.abc import Callable, Collection

from deribit_pipeline.cli.terminal import stderr, warnings_on
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.universe import (
    chosen,
    chosen_of_held,
    known_currencies,
    never_requested,
)
from deribit_pipeline.errors import InputError
from deribit_pipeline.instruments.refresh import exchange_currencies, refresh
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.selection import Choice, choice
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse


def wanted(text: str | None, settings: Settings) -> tuple[str, ...]:
    """The instruments of `--instruments`, or of DERIBIT_INSTRUMENTS where it was not given.

    Where selectors are among them, the exchange is asked for the lists that they need and that it
    was never asked for.
    Raises InputError where they select nothing.
    """
    if text is None:
        which, whose = Choice(settings.instruments, settings.selectors), "DERIBIT_INSTRUMENTS"
    else:
        which, whose = choice(text, "--instruments"), "--instruments"
    if not which.selectors:
        return which.names
    warehouse = warehouse_of(settings)
    if never_requested(warehouse, which.lists_among(known_currencies(warehouse))):

        def lists(known: tuple[str, ...]) -> tuple[str, ...]:
            named = [each.currency for each in which.selectors if each.currency]
            require_currencies(f"{whose} holds a selector whose currency", named, known)
            return never_requested(warehouse, which.lists_among(known))

        refresh_all(settings, warehouse, lists)
    found = chosen(warehouse, which)
    if not found:
        raise InputError(
            f"{whose} selects no instrument that trades: is it spelled right, or has it expired? "
            "The word expired selects those too, and deribit-pipeline instruments lists them."
        )
    return found


def of_held(text: str | None, settings: Settings, datasets: tuple[Dataset, ...]) -> tuple[str, ...]:
    """The instruments of `--instruments`, what selectors add being of those of which any day of
    the datasets is held; none where it was not given.

    Raises InputError where they select nothing that is held.
    """
    if text is None:
        return ()
    which = choice(text, "--instruments")
    if not which.selectors:
        return which.names
    warehouse = warehouse_of(settings)
    found = chosen_of_held(warehouse, which, datasets)
    lists = which.lists_among(known_currencies(warehouse))
    unknown = unknown_of(never_requested(warehouse, lists))
    if not found:
        raise InputError(
            f"--instruments selects nothing of which {settings.warehouse} holds days.{unknown}"
        )
    if unknown:
        stderr().print(unknown.strip())
    return found


def unknown_of(currencies: Collection[str]) -> str:
    """The sentence that goes on about currencies that the exchange was never asked for."""
    if not currencies:
        return ""
    return (
        f" Never asked for instruments of {', '.join(currencies)}: deribit-pipeline instruments "
        "--refresh does."
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
    """Ask the exchange for its instruments, and say what is new; whether all of it came. `lists`
    chooses of the currencies that are known or that the exchange names."""
    console, is_whole = stderr(), True
    with warnings_on(console), open_exchange(settings) as exchange:
        known = (*known_currencies(warehouse), *exchange_currencies(exchange))
        for currency in lists(tuple(dict.fromkeys(known))):
            result = refresh(exchange, warehouse, currency)
            console.print(
                f"Instruments of {currency}: {result.new:,} new, {len(result.changed):,} changed, "
                f"{result.unchanged:,} unchanged."
            )
            is_whole &= not (result.failed or result.malformed or result.unconfirmed)
    return is_whole
