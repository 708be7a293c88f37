"""Repeated requests: until a response is well-formed, or until two agree."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from deribit_pipeline.errors import DeribitBadPayload, EndlessPages

logger = logging.getLogger(__name__)

ROUNDS = 5
"""How often a request is repeated before its response is treated as final."""

Response = TypeVar("Response")


async def until_valid(request: Callable[[], Awaitable[Response]]) -> Response:
    """The first response that is not malformed. Raises a DeribitError."""
    for _ in range(ROUNDS):
        try:
            return await request()
        except EndlessPages:
            raise
        except DeribitBadPayload as error:
            logger.info("%s; requesting it again", error)
    return await request()


async def until_two_agree(
    request: Callable[[], Awaitable[Response]],
    alike: Callable[[Response, Response], bool],
    contradiction: DeribitBadPayload,
) -> Response:
    """The later of two responses that agree. Raises `contradiction` if no two agree, and otherwise
    a DeribitError."""
    former: list[Response] = []
    for _ in range(ROUNDS + 1):
        response = await until_valid(request)
        if any(alike(each, response) for each in former):
            return response
        former.append(response)
    raise contradiction
