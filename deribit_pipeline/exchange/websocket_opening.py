"""Opens a WebSocket of the exchange, through a proxy if there is one."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidProxyStatus, InvalidStatus, WebSocketException

from deribit_pipeline.errors import DeribitUnreachable
from deribit_pipeline.exchange import envelope
from deribit_pipeline.exchange.proxies import websocket_options
from deribit_pipeline.exchange.transport import MEBIBYTE, Received
from deribit_pipeline.exchange.websocket import OnNotification, WebSocket, reading
from deribit_pipeline.exchange.websocket_access import Times, WebSocketAccess

# Seconds for opening, and for the handshake that closes: a recorder ends within a second.
_OPENING, _CLOSING = 10.0, 0.2

# The library logs every message, with secrets, where its logger logs DEBUG.
_library = logging.getLogger(f"{__name__}.library")
_library.setLevel(logging.INFO)


@asynccontextmanager
async def opened_websocket(
    access: WebSocketAccess, received: OnNotification, times: Times
) -> AsyncIterator[WebSocket]:
    """A WebSocket, compressed if the exchange agrees, for as long as the block lasts.

    Raises DeribitUnreachable without a connection, another DeribitError if it is refused, such as
    DeribitRateLimited for one connection too many, and SettingsError if the proxy or the
    certificates cannot be used.
    """
    root = access.root
    call = reading(root)
    options = websocket_options(root.url, root.proxy)
    try:
        connection = await connect(
            root.url,
            **options,
            open_timeout=_OPENING,
            close_timeout=_CLOSING,
            # Deribit's heartbeat does the same, and too many pings ban an address.
            ping_interval=None,
            max_size=32 * MEBIBYTE,
            logger=_library,
        )
    except (InvalidStatus, InvalidProxyStatus) as error:
        refused = Received(error.response.status_code, b"", 0.0, 0.0)
        raise envelope.no_envelope(refused, "no WebSocket was opened", call, root) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        reason = f"{root} cannot be reached: {call.quoted(str(error) or type(error).__name__)}"
        raise DeribitUnreachable(reason, method=call.method, params=call.params) from error
    async with connection:
        yield WebSocket(connection, access, received, times)
