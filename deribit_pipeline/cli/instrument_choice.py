"""The instruments of the command line or of the settings, with selectors resolved to names."""

from collections.abc import Callable, Collection

from deribit_pipeline.cli.new_places import say_where_new
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
    """The instruments of `--instruments`, or of DERIBIT_INSTRUMENTS if it was not given.

    Lists that the selectors need and that were never requested are fetched from the exchange.
    Raises InputError if they select nothing.
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
            f"{whose} matches no instrument that trades: check the spelling, or add the word "
            "expired to match expired instruments too; deribit-pipeline instruments lists them."
        )
    return found


def of_held(text: str | None, settings: Settings, datasets: tuple[Dataset, ...]) -> tuple[str, ...]:
    """The instruments of `--instruments`, none if it was not given. Selectors select among the
    instruments with a stored day of the datasets.

    Raises InputError if they select nothing that is stored.
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
    say_where_new(settings.warehouse)
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
