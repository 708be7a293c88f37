"""From windows to trusted pages, for candles and all other rows on a sampling grid.

A malformed response is requested again in halves; one that others contradict, or that has no
neighbour to confirm it, is requested again as it is.
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
"""How many times missing rows are requested again while each request returns new ones."""

# How many times a malformed response is requested again in halves: 5,000 rows halved four times are
# some 300.
_HALVINGS = 4

# How many times a response that others contradict is requested again.
_ROUNDS = 5

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Unproved:
    """A window without a trusted response, and why."""

    window: TimeWindow
    error: DeribitError


async def whole_or_halves(
    window: TimeWindow,
    request: Callable[[TimeWindow], Awaitable[PageT]],
    halves: Callable[[TimeWindow], Sequence[TimeWindow]],
    halvings: int = _HALVINGS,
) -> list[PageT | Unproved]:
    """The page of the window, or those of its halves if its own response is malformed; sorted by
    time."""
    try:
        return [await request(window)]
    except DeribitBadPayload as error:
        if not halvings:
            return [Unproved(window, error)]
        logger.warning("%s; requesting smaller windows", error)
    pieces: list[PageT | Unproved] = []
    for half in halves(window):
        # If no earlier half could be trusted, a single further attempt is made.
        is_hopeless = bool(pieces) and all(isinstance(piece, Unproved) for piece in pieces)
        pieces += await whole_or_halves(half, request, halves, 0 if is_hopeless else halvings - 1)
    return pieces


def pages_of(pieces: Iterable[PageT | Unproved]) -> list[PageT]:
    """The pieces with a page."""
    return [piece for piece in pieces if not isinstance(piece, Unproved)]


def unproved_of(pieces: Iterable[PageT | Unproved]) -> list[Unproved]:
    """The pieces without a trusted response."""
    return [piece for piece in pieces if isinstance(piece, Unproved)]


def add_response(
    claim: Claim[PageT],
    pieces: Sequence[PageT | Unproved],
    joined: Callable[[Sequence[PageT]], PageT],
) -> None:
    """Add another response for a claim's window, which was returned in pieces: only if all pieces
    are present and agree with each other, because halves of two different series are a response for
    neither."""
    pages = pages_of(pieces)
    if len(pages) == len(pieces) and not is_contradictory(pages):
        claim.add_response(joined(pages))


async def settle(
    claims: Sequence[Claim[PageT]],
    request_again: Callable[[Claim[PageT]], Coroutine[Any, Any, DeribitError | None]],
    bad_payload: Callable[[TimeWindow], DeribitError],
    enough: int,
) -> list[Claim[PageT] | Unproved]:
    """The claims, each with a trusted page, or Unproved where none is reached: unconfirmed claims,
    and those that contradict them, are requested again. `request_again` returns the error if no
    response is available; then nothing more is requested."""
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
    """The results of all; if one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
