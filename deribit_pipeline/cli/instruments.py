"""`instruments`: the listed instruments, now or as of any day."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Annotated

import typer

from deribit_pipeline.cli import arguments
from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.backfill_report import counted
from deribit_pipeline.cli.instrument_choice import refresh_all, require_currencies, unknown_of
from deribit_pipeline.cli.printed_tables import Column, print_table
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.domain.specification import CURRENCIES, CURRENCY, KINDS, Specification
from deribit_pipeline.domain.windows import day_window
from deribit_pipeline.engine.universe import known_currencies, never_requested
from deribit_pipeline.errors import InputError
from deribit_pipeline.instruments.history import known_at, requested_at, universe
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.selection import Selector
from deribit_pipeline.settings import Settings

_COLUMNS = (
    *(Column(heading, is_number=False) for heading in ("instrument", "kind", "listed", "expires")),
    *(Column(heading, may_go=True) for heading in ("tick", "contract", "maker", "taker")),
)


@command("deribit-pipeline instruments --as-of 2024-01-31 --kind option --currency BTC")
def instruments(
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DAY",
            help="As of this UTC day.  [default: the exchange's latest response]",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", metavar="KIND", help="future, option, spot, future_combo or option_combo."
        ),
    ] = None,
    currency: Annotated[
        str | None,
        typer.Option("--currency", metavar="C", help="Settlement currency: BTC, ETH, USDC, …"),
    ] = None,
    expired: Annotated[
        bool, typer.Option("--expired", help="Also instruments that had expired by then.")
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Request the lists from the exchange first.")
    ] = False,
) -> int:
    """List instruments and their specifications, now or as of any day."""
    day = arguments.day(as_of, "--as-of") if as_of is not None else None
    arguments.not_future("--as-of", day)
    kind, currency = kind and kind.lower(), currency and currency.upper()
    if kind is not None and kind not in KINDS:
        raise InputError(f"--kind must be one of {', '.join(KINDS)}, was {kind!r}.")
    if currency is not None and not CURRENCY.fullmatch(currency):
        require_currencies("--currency", [currency], CURRENCIES)
    selector = Selector(kind=kind, currency=currency, is_with_expired=expired)
    settings = Settings.load()
    warehouse = warehouse_of(settings)

    def lists(known: tuple[str, ...]) -> tuple[str, ...]:
        require_currencies("--currency", [currency] if currency else [], known)
        refreshed = (currency,) if currency else known
        return refreshed if refresh else never_requested(warehouse, selector.lists_among(known))

    is_whole = True
    if refresh or never_requested(warehouse, selector.lists_among(known_currencies(warehouse))):
        warehouse.check()
        is_whole = refresh_all(settings, warehouse, lists)
    needed = selector.lists_among(known_currencies(warehouse))
    with warehouse.reading() as connection:
        known, requested = known_at(connection), requested_at(connection)
        if known is None:
            raise InputError(
                f"The exchange lists no instrument, and {settings.warehouse} holds none."
            )
        first = last = known
        if day is not None:
            window = day_window(day)
            first, last = window.start, window.end - timedelta(milliseconds=1)
        found = universe(connection, selector, first, last)
    print_table(stdout(), "", _COLUMNS, [_row(each) for each in found])
    _count(found, {name: requested[name] for name in needed if name in requested})
    if unknown := unknown_of([name for name in needed if name not in requested]):
        stderr().print(unknown.strip())
    return 0 if is_whole else 1


def _row(each: Specification) -> tuple[str, ...]:
    return (
        each.instrument_name, each.kind, _day(each.listed_at), _day(each.expires_at),
        f"{each.tick_size:.15g}", f"{each.contract_size:.15g}",
        _percent(each.maker_commission), _percent(each.taker_commission),
    )  # fmt: skip


def _count(found: list[Specification], requested: dict[str, datetime]) -> None:
    kinds = Counter(each.kind for each in found)
    by_kind = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    age = "; no list of them was requested yet"
    if requested:
        age = f"; the lists were last requested at {min(requested.values()):%Y-%m-%d %H:%M} UTC"
    stderr().print(
        f"{counted(len(found), 'instruments')}{f' ({by_kind})' if by_kind else ''}{age}.",
        markup=False,
        soft_wrap=True,
    )


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"


def _percent(fraction: float | None) -> str:
    return f"{100 * fraction:.6g} %" if fraction is not None else ""
