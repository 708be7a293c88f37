"""One JSON-RPC request over POST and its whole response, for probes of the protocol."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.transport import Call


@dataclass(frozen=True, slots=True)
class Posted:
    """An HTTP status and the response's JSON body; None if the body is not JSON."""

    http_status: int
    body: object


async def posted(
    client: DeribitClient, method: str, params: Mapping[str, object], number: int
) -> Posted:
    """POST one request with the id `number` to the root of the client's API, once, with the
    client's connections, rate limit and response bounds.

    The expected response: assumption:post-id and assumption:post-id-archive. Raises a DeribitError
    if no response comes or it is too large. The body is not checked.
    """
    rpc = client.rpc  # `rpc.call` does not expose the envelope
    content = {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)}
    request = rpc._http.build_request("POST", rpc._root.url, json=content)
    response = await rpc._sent(request, Call(method, params))
    try:
        return Posted(response.status, orjson.loads(response.content))
    except orjson.JSONDecodeError:
        return Posted(response.status, None)
