"""Days that rest on an instrument's listing, and those that the current listing no longer supports.

A listing is a single response of the exchange, and a wrong one makes days `not_listed`, or too
short, which nothing else would request again. They are therefore compared with the listing whenever
a newer one is available: that of the table `instruments`, or one requested for the purpose.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import date

from deribit_pipeline.datasets.registry import dataset_of
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.history import listings_since
from deribit_pipeline.instruments.listings import Listings, listings
from deribit_pipeline.warehouse.place import Connection
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


def rests_on_listing(proof: Proof) -> bool:
    """Whether fewer rows were expected of a settled day than of others, because the instrument was
    not listed for all of it."""
    dataset = dataset_of(proof)
    if not proof.is_settled or dataset.least_rows is None:
        return False
    if dataset.rows_per_day is None:
        return proof.state is DayState.NOT_LISTED
    return proof.expected < dataset.rows_per_day


def is_supported(proof: Proof, instrument: Instrument) -> bool:
    """Whether a listing expects no more rows of a settled day than its proof does."""
    least_rows = dataset_of(proof).least_rows
    if least_rows is None or not rests_on_listing(proof):
        return True
    return least_rows(instrument, proof.day) <= proof.expected


def unsupported(
    connection: Connection, proofs: Iterable[Proof], listed: Listings
) -> set[tuple[str, date]]:
    """The series' days that rest on an outdated listing, according to `listed`, or else to the
    table `instruments` if it was written after the day."""
    resting = [proof for proof in proofs if rests_on_listing(proof)]
    known = dict(listed) | _known(connection, (p for p in resting if p.series not in listed))
    return {
        (proof.series, proof.day)
        for proof in resting
        if proof.series in known and not is_supported(proof, known[proof.series])
    }


def unknown_to(connection: Connection, proofs: Iterable[Proof]) -> list[str]:
    """The instruments of days that rest on a listing, if no newer listing is stored."""
    resting = [proof for proof in proofs if rests_on_listing(proof)]
    names = dict.fromkeys(proof.series for proof in resting)
    return [name for name in names if name not in _known(connection, resting)]


async def listed_now(exchange: Exchange, warehouse: Warehouse, names: Iterable[str]) -> Listings:
    """The instruments as they are currently listed, without those whose listing is not available:
    their days are not changed."""

    async def one(name: str) -> Listings:
        try:
            return (await listings(exchange, warehouse, [name]))[0]
        except DeribitError as error:
            logger.warning("Whether the listing of %s still stands is unknown: %s", name, error)
            return {}

    found = await asyncio.gather(*(one(name) for name in names))
    return {name: instrument for each in found for name, instrument in each.items()}


def _known(connection: Connection, resting: Iterable[Proof]) -> dict[str, Instrument]:
    """The instruments whose listing in the table `instruments` is newer than all of these days."""
    newest: dict[str, Proof] = {}
    for proof in resting:
        former = newest.setdefault(proof.series, proof)
        if proof.fetched_at > former.fetched_at:
            newest[proof.series] = proof
    return listings_since(connection, {name: proof.fetched_at for name, proof in newest.items()})
