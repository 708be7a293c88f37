"""Refreshes the table `instruments` from the exchange's listings of current and expired
instruments."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from deribit_pipeline.domain.specification import (
    CURRENCIES,
    KINDS,
    Specification,
    settlement_currency,
)
from deribit_pipeline.errors import DeribitError, DeribitRejected
from deribit_pipeline.exchange import codes
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.methods import Told
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.history import (
    Written,
    told_otherwise,
    write_asked,
    write_specifications,
)
from deribit_pipeline.instruments.listings import get_currencies, get_specifications
from deribit_pipeline.instruments.wire import ANY_CURRENCY, Listed
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The result of refreshing one currency.

    `unconfirmed` are instruments for which one response differed from the stored row and a second
    did not: the stored row is kept. `odd` describes each malformed entry, `failed` each listing of
    the archive host that could not be fetched.
    """

    currency: str
    as_of: datetime
    new: int
    changed: tuple[str, ...]
    unchanged: int
    unconfirmed: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def refresh(exchange: Exchange, warehouse: Warehouse, currency: str, run_id: str = "") -> Refreshed:
    """Fetch the instruments of a currency, and write what is new.

    Each entry names its instrument, so a single response suffices for new instruments. Where it
    differs from the stored row, the main host (www) is queried again, and both responses must
    agree. The main host takes precedence for instruments that it still lists. The archive host only
    adds instruments that expired long ago; if it fails, the main host's results are kept. Raises
    DeribitError if the main host fails.
    """
    told, odd, as_of = exchange.run(_of_www(exchange, currency))
    old, failed = exchange.run(_of_archive(exchange, currency))
    for listed in old:
        odd += listed.odd
    specifications = by_name((told.values(), *(listed.specifications for listed in old)))
    with warehouse.reading() as connection:
        doubted = told_otherwise(connection, list(specifications.values()), as_of)
    again: dict[str, Specification] = {}
    if doubted & told.keys():
        again, _, _ = exchange.run(_of_www(exchange, currency))
    unconfirmed = sorted(name for name in doubted if again.get(name) != specifications[name])
    believed = [each for name, each in specifications.items() if name not in set(unconfirmed)]

    def write(connection: Connection) -> Written:
        written = write_specifications(connection, believed, as_of, run_id)
        write_asked(connection, currency, as_of)
        return written

    written = warehouse.write(write, [f"instruments of {currency}"])
    result = Refreshed(
        currency, as_of, written.new, written.changed, written.unchanged,
        tuple(unconfirmed), tuple(odd), tuple(failed),
    )  # fmt: skip
    _log(result)
    return result


def told_currencies(exchange: Exchange) -> tuple[str, ...]:
    """The currencies that the exchange lists, and all settlement currencies of its futures ever: a
    delisted currency appears nowhere else. A listing that cannot be fetched is skipped with a
    warning."""

    async def told() -> tuple[str, ...]:
        archive = exchange.history or exchange.client
        asked = await asyncio.gather(
            get_currencies(exchange.client),
            get_specifications(exchange.client, ANY_CURRENCY, kind="future"),
            get_specifications(archive, ANY_CURRENCY, is_expired=True, kind="future"),
            return_exceptions=True,
        )
        found: list[str] = []
        for answer in asked:
            if isinstance(answer, DeribitError):
                logger.warning("The list of currencies is incomplete: %s", answer)
            elif isinstance(answer, BaseException):
                raise answer
            elif isinstance(answer.said, Listed):
                found += [_settles_in(each) for each in answer.said.specifications]
            else:
                found += answer.said
        return tuple(dict.fromkeys(found))

    return exchange.run(told())


def _settles_in(future: Specification) -> str:
    return future.settlement_currency or settlement_currency(future.instrument_name)


def by_name(answers: Iterable[Iterable[Specification]]) -> dict[str, Specification]:
    """The specifications by instrument; the first response takes precedence."""
    found: dict[str, Specification] = {}
    for answer in answers:
        for specification in answer:
            found.setdefault(specification.instrument_name, specification)
    return found


async def _of_www(
    exchange: Exchange, currency: str
) -> tuple[dict[str, Specification], list[str], datetime]:
    """Current and recently expired instruments, and the exchange's time before the request."""
    lists: Sequence[Told[Listed]]
    try:
        lists = await asyncio.gather(
            get_specifications(exchange.client, currency),
            get_specifications(exchange.client, currency, is_expired=True),
        )
    except DeribitRejected as error:
        if not _is_no_list(currency, error):
            raise
        # For a delisted currency, the listing of all currencies still has what trades.
        lists = [await _of_any(exchange.client, currency, is_expired=False)]
    odd = [sentence for told in lists for sentence in told.said.odd]
    return by_name(told.said.specifications for told in lists), odd, min(t.as_of for t in lists)


async def _of_archive(exchange: Exchange, currency: str) -> tuple[list[Listed], list[str]]:
    """All expired instruments, kind by kind because the response is large; and what failed."""
    if exchange.history is None:
        return [], []
    # For a currency that is not listed any more, one response for all kinds is small enough.
    kinds = KINDS if currency in CURRENCIES else (None,)
    lists: Sequence[Told[Listed] | BaseException] = await asyncio.gather(
        *(
            get_specifications(exchange.history, currency, is_expired=True, kind=kind)
            for kind in kinds
        ),
        return_exceptions=True,
    )
    if any(_is_no_list(currency, answer) for answer in lists):
        lists = await asyncio.gather(
            _of_any(exchange.history, currency, is_expired=True), return_exceptions=True
        )
    told, failed = [], []
    for answer in lists:
        if isinstance(answer, DeribitError):
            failed.append(str(answer))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            told.append(answer.said)
    return told, failed


def _is_no_list(currency: str, answer: object) -> bool:
    """Whether a host rejects the currency as a parameter, which it may do with a delisted one."""
    is_refused = isinstance(answer, DeribitRejected) and answer.code == codes.INVALID_PARAMS
    return is_refused and currency not in CURRENCIES


async def _of_any(client: DeribitClient, currency: str, *, is_expired: bool) -> Told[Listed]:
    """The futures that settle in a currency, from the listing of all currencies; options would make
    it too large."""
    told = await get_specifications(client, ANY_CURRENCY, is_expired=is_expired, kind="future")
    of_currency = [each for each in told.said.specifications if _settles_in(each) == currency]
    return Told(Listed(tuple(of_currency)), told.as_of)


def _log(result: Refreshed) -> None:
    logger.info(
        "Instruments of %s: %d new, %d changed, %d unchanged",
        result.currency, result.new, len(result.changed), result.unchanged,
    )  # fmt: skip
    if result.changed:
        logger.info("Specifications changed at %s: %s", result.as_of, ", ".join(result.changed))
    if result.unconfirmed:
        logger.warning(
            "Not confirmed by a second response, and not changed: %d instruments of %s, such as "
            "%s",
            len(result.unconfirmed), result.currency, result.unconfirmed[0],
        )  # fmt: skip
    if result.odd:
        logger.warning(
            "%d entries of the instruments of %s are malformed, the first: %s",
            len(result.odd), result.currency, result.odd[0],
        )  # fmt: skip
    for failure in result.failed:
        logger.warning("A listing of expired instruments could not be fetched: %s", failure)
