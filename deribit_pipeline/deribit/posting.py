"""One JSON-RPC request over POST, and the whole response to it: what shows the protocol."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import orjson

from deribit_pipeline.deribit.client import DeribitClient
from deribit_pipeline.deribit.credits import MeterUnreachable
from deribit_pipeline.errors import DeribitUnavailable


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
    where no response comes. The body is not checked.
    """
    rpc = client.rpc
    http, pool = rpc._http, rpc._pools[""]  # of this package; its `call` shows no envelope
    content = {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)}
    try:
        await asyncio.sleep(await pool.take())
        rpc.requests[method] += 1
        response = await http.post(str(http.base_url).rstrip("/"), json=content)
    except (httpx.RequestError, MeterUnreachable) as error:
        reason = str(error) or type(error).__name__
        raise DeribitUnavailable(
            f"no response to a POST: {reason}", method=method, params=params
        ) from error
    try:
        return Posted(response.status_code, orjson.loads(response.content))
    except orjson.JSONDecodeError:
        return Posted(response.status_code, None)
