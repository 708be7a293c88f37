"""From windows to pages that can be believed: what candles and other rows on a grid of time share.

An odd answer is asked for again in halves, and one that others contradict, or that stands alone,
as it is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.agreement import (
    Claim,
    PageT,
    denied_by,
    is_contradictory,
    unconfirmed_claims,
)
from deribit_pipeline.errors import DeribitBadPayload, DeribitError

logger = logging.getLogger(__name__)

RECHECKS = 3
"""How often what lacks is asked for again while something new comes."""

# How often an odd answer is asked for again in halves: 5,000 rows halved four times are some 300.
_HALVINGS = 4

# How often an answer is asked for again that others contradict.
_ROUNDS = 5

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Unproved:
    """A window of which no believable answer is to be had, and why."""

    window: TimeWindow
    error: DeribitError


async def whole_or_halves(
    window: TimeWindow,
    request: Callable[[TimeWindow], Awaitable[PageT]],
    halves: Callable[[TimeWindow], Sequence[TimeWindow]],
    halvings: int = _HALVINGS,
) -> list[PageT | Unproved]:
    """The page of the window, or those of its halves where its own is odd; in order of time."""
    try:
        return [await request(window)]
    except DeribitBadPayload as error:
        if not halvings:
            return [Unproved(window, error)]
        logger.warning("%s; asking again in smaller windows", error)
    pieces: list[PageT | Unproved] = []
    for half in halves(window):
        # Where nothing before it was to be believed, one try more is enough.
        is_hopeless = bool(pieces) and all(isinstance(piece, Unproved) for piece in pieces)
        pieces += await whole_or_halves(half, request, halves, 0 if is_hopeless else halvings - 1)
    return pieces


def pages_of(pieces: Iterable[PageT | Unproved]) -> list[PageT]:
    """The pieces that can be believed so far."""
    return [piece for piece in pieces if not isinstance(piece, Unproved)]


def unproved_of(pieces: Iterable[PageT | Unproved]) -> list[Unproved]:
    """The pieces of which nothing can be believed."""
    return [piece for piece in pieces if isinstance(piece, Unproved)]


def add_response(
    claim: Claim[PageT],
    pieces: Sequence[PageT | Unproved],
    joined: Callable[[Sequence[PageT]], PageT],
) -> None:
    """Take in another answer to a claim's window, which came in pieces: only where all are there
    and they agree with each other, since halves of two series are an answer of neither."""
    pages = pages_of(pieces)
    if len(pages) == len(pieces) and not is_contradictory(pages):
        claim.add_response(joined(pages))


async def settle(
    claims: Sequence[Claim[PageT]],
    request_again: Callable[[Claim[PageT]], Coroutine[Any, Any, DeribitError | None]],
    bad_payload: Callable[[TimeWindow], DeribitError],
    enough: int,
) -> list[Claim[PageT] | Unproved]:
    """The claims that can be believed, after requesting the others again, and those that
    contradict them, until none is in doubt; unproved where that never comes. `ask_again` tells
    why no response comes, where none does, and nothing more is requested then.
    """
    unconfirmed, error = unconfirmed_claims(claims, enough), None
    for _ in range(_ROUNDS):
        if not unconfirmed or error is not None:
            break
        requested = [*unconfirmed, *denied_by(claims, unconfirmed)]
        errors = await together(request_again(claim) for claim in requested)
        error = next((one for one in errors if one is not None), None)
        unconfirmed = unconfirmed_claims(claims, enough)
    return [
        Unproved(claim.page.window, error or bad_payload(claim.page.window))
        if claim in unconfirmed
        else claim
        for claim in claims
    ]


async def together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of all; where one fails, the others are ended."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
