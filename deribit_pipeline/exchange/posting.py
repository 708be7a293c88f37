"""One JSON-RPC request over POST, and the whole response to it: what shows the protocol."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.transport import Call


@dataclass(frozen=True, slots=True)
class Posted:
    """An HTTP status, and the JSON body under it; None where the body is not JSON."""

    http_status: int
    body: object


async def posted(
    client: DeribitClient, method: str, params: Mapping[str, object], number: int
) -> Posted:
    """POST one request with the id `number` to the root of the client's API, once, through the
    connections, the rate limit and the bounds that its other requests have.

    What should come: assumption:post-id and assumption:post-id-archive. Raises a DeribitError where
    no response comes, or one that is too large. The body is not checked.
    """
    rpc = client.rpc  # of this package; its `call` shows no envelope
    content = {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)}
    request = rpc._http.build_request("POST", rpc._root.url, json=content)
    response = await rpc._sent(request, Call(method, params))
    try:
        return Posted(response.status, orjson.loads(response.content))
    except orjson.JSONDecodeError:
        return Posted(response.status, None)
