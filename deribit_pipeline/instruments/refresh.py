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
from deribit_pipeline.exchange.methods import ParsedResponse
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.history import write_requested_at
from deribit_pipeline.instruments.listings import get_currencies, get_specifications
from deribit_pipeline.instruments.specification_writes import (
    Written,
    differing_names,
    write_specifications,
)
from deribit_pipeline.instruments.wire import ANY_CURRENCY, Listed
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The result of refreshing one currency.

    `unconfirmed` are instruments for which one response differed from the stored row and a second
    did not: the stored row is kept. `malformed` describes each malformed entry, `failed` each
    listing of the archive host that could not be fetched.
    """

    currency: str
    as_of: datetime
    new: int
    changed: tuple[str, ...]
    unchanged: int
    unconfirmed: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def refresh(exchange: Exchange, warehouse: Warehouse, currency: str, run_id: str = "") -> Refreshed:
    """Fetch the instruments of a currency, and write what is new.

    Each entry names its instrument, so a single response suffices for new instruments. Where it
    differs from the stored row, the main host (www) is queried again, and both responses must
    agree. The main host takes precedence for instruments that it still lists. The archive host only
    adds instruments that expired long ago; if it fails, the main host's results are kept. Raises
    DeribitError if the main host fails.
    """
    returned, malformed, as_of = exchange.run(_of_www(exchange, currency))
    old, failed = exchange.run(_of_archive(exchange, currency))
    for listed in old:
        malformed += listed.malformed
    specifications = by_name((returned.values(), *(listed.specifications for listed in old)))
    with warehouse.reading() as connection:
        differing = differing_names(connection, list(specifications.values()), as_of)
    again: dict[str, Specification] = {}
    if differing & returned.keys():
        again, _, _ = exchange.run(_of_www(exchange, currency))
    unconfirmed = sorted(name for name in differing if again.get(name) != specifications[name])
    trusted = [each for name, each in specifications.items() if name not in set(unconfirmed)]

    def write(connection: Connection) -> Written:
        written = write_specifications(connection, trusted, as_of, run_id)
        write_requested_at(connection, currency, as_of)
        return written

    written = warehouse.write(write, [f"instruments of {currency}"])
    result = Refreshed(
        currency, as_of, written.new, written.changed, written.unchanged,
        tuple(unconfirmed), tuple(malformed), tuple(failed),
    )  # fmt: skip
    _log(result)
    return result


def exchange_currencies(exchange: Exchange) -> tuple[str, ...]:
    """The currencies that the exchange lists, and all settlement currencies of its futures ever: a
    delisted currency appears nowhere else. A listing that cannot be fetched is skipped with a
    warning."""

    async def returned() -> tuple[str, ...]:
        archive = exchange.history or exchange.client
        requested = await asyncio.gather(
            get_currencies(exchange.client),
            get_specifications(exchange.client, ANY_CURRENCY, kind="future"),
            get_specifications(archive, ANY_CURRENCY, is_expired=True, kind="future"),
            return_exceptions=True,
        )
        found: list[str] = []
        for answer in requested:
            if isinstance(answer, DeribitError):
                logger.warning("The list of currencies is incomplete: %s", answer)
            elif isinstance(answer, BaseException):
                raise answer
            elif isinstance(answer.value, Listed):
                found += [_settles_in(each) for each in answer.value.specifications]
            else:
                found += answer.value
        return tuple(dict.fromkeys(found))

    return exchange.run(returned())


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
    lists: Sequence[ParsedResponse[Listed]]
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
    malformed = [sentence for returned in lists for sentence in returned.value.malformed]
    return (
        by_name(returned.value.specifications for returned in lists),
        malformed,
        min(t.as_of for t in lists),
    )


async def _of_archive(exchange: Exchange, currency: str) -> tuple[list[Listed], list[str]]:
    """All expired instruments, kind by kind because the response is large; and what failed."""
    if exchange.history is None:
        return [], []
    # For a currency that is not listed any more, one response for all kinds is small enough.
    kinds = KINDS if currency in CURRENCIES else (None,)
    lists: Sequence[ParsedResponse[Listed] | BaseException] = await asyncio.gather(
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
    returned, failed = [], []
    for answer in lists:
        if isinstance(answer, DeribitError):
            failed.append(str(answer))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            returned.append(answer.value)
    return returned, failed


def _is_no_list(currency: str, answer: object) -> bool:
    """Whether a host rejects the currency as a parameter, which it may do with a delisted one."""
    is_refused = isinstance(answer, DeribitRejected) and answer.code == codes.INVALID_PARAMS
    return is_refused and currency not in CURRENCIES


async def _of_any(
    client: DeribitClient, currency: str, *, is_expired: bool
) -> ParsedResponse[Listed]:
    """The futures that settle in a currency, from the listing of all currencies; options would make
    it too large."""
    returned = await get_specifications(client, ANY_CURRENCY, is_expired=is_expired, kind="future")
    of_currency = [each for each in returned.value.specifications if _settles_in(each) == currency]
    return ParsedResponse(Listed(tuple(of_currency)), returned.as_of)


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
    if result.malformed:
        logger.warning(
            "%d entries of the instruments of %s are malformed, the first: %s",
            len(result.malformed), result.currency, result.malformed[0],
        )  # fmt: skip
    for failure in result.failed:
        logger.warning("A listing of expired instruments could not be fetched: %s", failure)
