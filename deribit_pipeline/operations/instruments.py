"""The exchange's lists of instruments into the warehouse: what trades, and what has expired."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from deribit_pipeline.deribit.methods import Told
from deribit_pipeline.deribit.specifications import Listed
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.instruments import KINDS, Specification
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.warehouse.instruments import (
    Written,
    told_otherwise,
    write_asked,
    write_specifications,
)
from deribit_pipeline.warehouse.store import Connection
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
    lists = await asyncio.gather(
        exchange.client.get_specifications(currency),
        exchange.client.get_specifications(currency, is_expired=True),
    )
    odd = [sentence for told in lists for sentence in told.said.odd]
    return by_name(told.said.specifications for told in lists), odd, min(t.as_of for t in lists)


async def _of_archive(exchange: Exchange, currency: str) -> tuple[list[Listed], list[str]]:
    """What ever expired, kind by kind, for all of it is a large answer; and what failed."""
    if exchange.history is None:
        return [], []
    lists: list[Told[Listed] | BaseException] = await asyncio.gather(
        *(
            exchange.history.get_specifications(currency, is_expired=True, kind=kind)
            for kind in KINDS
        ),
        return_exceptions=True,
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
