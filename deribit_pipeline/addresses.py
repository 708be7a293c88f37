"""Which hosts of a URL are this machine itself."""

import ipaddress
import socket
from urllib.parse import urlsplit


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
