"""URLs of the exchange: which are well-formed, and which hosts are this machine itself."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

# Scheme, host (a name, or an IPv6 address in brackets), port, path; no credentials, no query.
_ADDRESS = (
    r"://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
    r"(:(?!0)([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
    r"(/[A-Za-z0-9._~/-]*)?"
)
_HTTP, _WEBSOCKET = re.compile(rf"https?{_ADDRESS}"), re.compile(rf"wss?{_ADDRESS}")


def is_http(url: str) -> bool:
    """Whether it is an API root: HTTP or HTTPS, without credentials and query."""
    return _HTTP.fullmatch(url) is not None


def is_websocket(url: str) -> bool:
    """Whether it is the address of a WebSocket, without credentials and query."""
    return _WEBSOCKET.fullmatch(url) is not None


def without_credentials(url: str) -> str:
    """An address without user, password and query, for messages."""
    return re.split("[?#]", re.sub(r".*@", "…@", url))[0]


def is_loopback(url: str) -> bool:
    """Whether the host of `url` is this machine: `localhost`, 127.0.0.0/8 or ::1, in any spelling.

    A name that only a resolver could identify is not. Raises ValueError where `url` is malformed.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _is_short_loopback(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback


def _is_short_loopback(host: str) -> bool:
    """Whether the host is 127.0.0.0/8 as only the C library writes it: `127.1`, `2130706433`."""
    try:
        return socket.inet_aton(host)[0] == 127
    except (OSError, UnicodeError):
        return False
