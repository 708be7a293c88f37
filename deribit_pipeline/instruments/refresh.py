"""The exchange's lists of instruments into the warehouse: what trades, and what has expired."""

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
    """What became of one currency's lists.

    `unconfirmed` are instruments that one answer told otherwise than they are held, and a second
    one did not: they stay as they are held. `odd` says of each entry that is not understood why,
    `failed` of each list of the archive host that did not come.
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
    """Ask for the instruments of a currency, and write what is new of them.

    Each entry names its instrument, so that one answer is believed of what nobody has told before;
    where it differs from what is held, www is asked once more, and both answers must say the same.
    www has the word of what it still tells. The archive host adds what expired long ago, and
    changes nothing; where it fails, what came of the others is kept. Raises DeribitError where www
    fails.
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
    """The currencies that the exchange names, and those that its futures ever settled in: one that
    it has no more is named nowhere else. What cannot be had is left out, with a warning."""

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
                logger.warning("Which currencies there are, is not whole: %s", answer)
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
    """The specifications by instrument; of two answers that tell one, the first has the word."""
    found: dict[str, Specification] = {}
    for answer in answers:
        for specification in answer:
            found.setdefault(specification.instrument_name, specification)
    return found


async def _of_www(
    exchange: Exchange, currency: str
) -> tuple[dict[str, Specification], list[str], datetime]:
    """What trades and what expired of late, and the exchange's clock before it was asked."""
    lists: Sequence[Told[Listed]]
    try:
        lists = await asyncio.gather(
            get_specifications(exchange.client, currency),
            get_specifications(exchange.client, currency, is_expired=True),
        )
    except DeribitRejected as error:
        if not _is_no_list(currency, error):
            raise
        # Of one that nothing settles in any more, the list of all still tells what trades.
        lists = [await _of_any(exchange.client, currency, is_expired=False)]
    odd = [sentence for told in lists for sentence in told.said.odd]
    return by_name(told.said.specifications for told in lists), odd, min(t.as_of for t in lists)


async def _of_archive(exchange: Exchange, currency: str) -> tuple[list[Listed], list[str]]:
    """What ever expired, kind by kind, for all of it is a large answer; and what failed."""
    if exchange.history is None:
        return [], []
    # Of a currency that is none of today's, all of it is not large.
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
    """Whether a host refuses a currency as a parameter, which it may do with one of former days."""
    is_refused = isinstance(answer, DeribitRejected) and answer.code == codes.INVALID_PARAMS
    return is_refused and currency not in CURRENCIES


async def _of_any(client: DeribitClient, currency: str, *, is_expired: bool) -> Told[Listed]:
    """The futures that settle in a currency, of the list of all: with options it is too large."""
    told = await get_specifications(client, ANY_CURRENCY, is_expired=is_expired, kind="future")
    of_currency = [each for each in told.said.specifications if _settles_in(each) == currency]
    return Told(Listed(tuple(of_currency)), told.as_of)


def _log(result: Refreshed) -> None:
    logger.info(
        "Instruments of %s: %d new, %d changed, %d unchanged",
        result.currency, result.new, len(result.changed), result.unchanged,
    )  # fmt: skip
    if result.changed:
        logger.info("Another specification since %s: %s", result.as_of, ", ".join(result.changed))
    if result.unconfirmed:
        logger.warning(
            "Told otherwise by one answer alone, and held as before: %d instruments of %s, such as "
            "%s",
            len(result.unconfirmed), result.currency, result.unconfirmed[0],
        )  # fmt: skip
    if result.odd:
        logger.warning(
            "%d entries of the instruments of %s are not understood, the first: %s",
            len(result.odd), result.currency, result.odd[0],
        )  # fmt: skip
    for failure in result.failed:
        logger.warning("Of what expired long ago, a list did not come: %s", failure)
