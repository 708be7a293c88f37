"""One JSON-RPC request over POST, and the whole response to it: what shows the protocol."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.deribit.transport import Call


@dataclass(frozen=True, slots=True)
class Posted:
    """An HTTP status, and the JSON body under it; None where the body is not JSON."""

    http_status: int
    body: object


async def posted(
    client: DeribitClient, method: str, params: Mapping[str, object], number: int
) -> Posted:
    """POST one request with the id `number` to the root of the client's API, once, through the
    connections and the rate limit that its other requests have.

    What should come: assumption:post-id and assumption:post-id-archive. Raises DeribitUnavailable
    where no response comes, and DeribitBadPayload where it is too large. The body is not checked.
    """
    # Of this package; the `call` of a client shows no envelope.
    response = await client.rpc._requests.post(Call(method, params), number)
    try:
        return Posted(response.status, orjson.loads(response.content))
    except orjson.JSONDecodeError:
        return Posted(response.status, None)
