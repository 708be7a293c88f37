"""ASGI guard in front of Dagster's UI: accepts requests from the UI itself, refuses those of other
web pages.

The UI has no login, and a browser lets any web page send requests to it. So a request must name a
host under which the UI is served, which prevents DNS rebinding; and a request that, according to
the browser, comes from another page is refused, unless it only opens a page of the UI.
"""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(:[0-9]+)?")

_FROM_ITSELF = ("same-origin", "none")  # none: typed into the address bar


class Guard:
    """ASGI middleware that refuses cross-site requests.

    Accepted hosts are the loopback names, the address at which the connection arrived, and `hosts`,
    in lower case. A refused request gets status 403 and one sentence; a refused WebSocket is not
    accepted.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif reason := self._refusal(HTTPConnection(scope)):
            await _refused(scope, reason)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, request: HTTPConnection) -> str | None:
        """Why a request is refused; None if it is accepted."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._is_here(hosts[0], request.scope):
            return (
                "Refused: Dagster's UI is not served under this host name. Use its address, or "
                "add the name to DERIBIT_UI_HOSTS."
            )
        if not all(self._is_own(origin, hosts[0]) for origin in request.headers.getlist("origin")):
            return "Refused: the request comes from another web page than Dagster's UI."
        site = request.headers.get("sec-fetch-site", "none")
        if site not in _FROM_ITSELF and not _opens_a_page(request):
            return "Refused: the request comes from another web page than Dagster's UI."
        return None

    def _is_here(self, header: str, scope: Scope) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found[1].lower().removesuffix(".")
        address = _address(name)
        if name == "localhost" or name in self._hosts or (address and address.is_loopback):
            return True
        came_in_at = scope.get("server") or ("", None)
        return address is not None and address == _address(came_in_at[0])

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether an origin is the UI itself: the same host and port or, behind a proxy that
        rewrites the host, one of the configured names."""
        try:
            parts = urlsplit(origin)
            name = parts.hostname
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or not name:
            return False
        return parts.netloc.lower() == host.lower() or name in self._hosts


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _opens_a_page(request: HTTPConnection) -> bool:
    """Whether the request navigates to a page of the UI; GraphQL requests do not."""
    return (
        request.scope["type"] == "http"
        and request.scope["method"] in ("GET", "HEAD")
        and request.headers.get("sec-fetch-mode") == "navigate"
        and request.headers.get("sec-fetch-dest") == "document"
        and not request.url.path.rstrip("/").endswith("/graphql")
    )


def _refused(scope: Scope, reason: str) -> ASGIApp:
    if scope["type"] == "websocket":
        return WebSocketClose(1008, reason)
    return PlainTextResponse(f"{reason}\n", 403)
