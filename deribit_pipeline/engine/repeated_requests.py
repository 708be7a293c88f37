"""Answers asked for again: those that are odd, and those that nothing else supports."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.rows import Columns
from deribit_pipeline.engine.distinct import distinct
from deribit_pipeline.engine.following import TooManyPages
from deribit_pipeline.errors import DeribitBadPayload, EndlessPages

logger = logging.getLogger(__name__)

ROUNDS = 5
"""How often an answer is asked for again before it is the exchange's last word."""

Said = TypeVar("Said")


def once(
    dataset: Dataset, rows: Columns, expected: int = 0
) -> tuple[Columns, tuple[Malformed, ...]]:
    """Each row of a response once, and those that came twice with different values. Warns of more
    that came again alike than are expected to."""
    found = distinct(dataset, rows)
    if found.repeated > expected:
        logger.warning(
            "%d %s of %s came again, equal in every field: each is one row",
            found.repeated - expected, dataset.rows, dataset.name,
        )  # fmt: skip
    return found.rows, found.malformed


@contextmanager
def expectations(method: str, **params: object) -> Iterator[None]:
    """An expectation that an answer breaks in the block, a ValueError, is a DeribitBadPayload."""
    try:
        yield
    except TooManyPages as error:
        raise EndlessPages(str(error), method=method, params=params) from error
    except ValueError as error:
        raise DeribitBadPayload(str(error), method=method, params=params) from error


async def insisted(ask: Callable[[], Awaitable[Said]]) -> Said:
    """What is told, asked for again while it is odd. Raises a DeribitError."""
    for _ in range(ROUNDS):
        try:
            return await ask()
        except EndlessPages:
            raise
        except DeribitBadPayload as error:
            logger.info("%s; asking again", error)
    return await ask()


async def agreed(
    ask: Callable[[], Awaitable[Said]],
    alike: Callable[[Said, Said], bool],
    contradiction: DeribitBadPayload,
) -> Said:
    """What two answers say alike, as the later one says it. Raises the contradiction where none
    do, and otherwise a DeribitError."""
    heard: list[Said] = []
    for _ in range(ROUNDS + 1):
        said = await insisted(ask)
        if any(alike(former, said) for former in heard):
            return said
        heard.append(said)
    raise contradiction
