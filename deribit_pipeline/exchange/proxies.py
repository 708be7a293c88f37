"""The HTTP client of one API root, with its proxy and certificates, and errors about either.

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are read as curl reads them, except that this
machine is never reached through a proxy. Certificates come from SSL_CERT_FILE or SSL_CERT_DIR, by
default from certifi.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from deribit_pipeline.addresses import is_loopback
from deribit_pipeline.errors import SettingsError
from deribit_pipeline.outside_text import shown

_SCHEMES = ("http", "https", "socks5", "socks5h")

_OF_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "OPENSSL_CONF")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the variable that names it; its str omits the password."""

    url: httpx.URL
    variable: str

    def __str__(self) -> str:
        return f"the proxy {self.url.copy_with(userinfo=b'')} ({self.variable})"


def proxy_of(root: str) -> Proxy | None:
    """The proxy for requests to `root`; None if there is none. Raises SettingsError if its URL is
    malformed."""
    parts = urlsplit(root)
    if is_loopback(root) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    scheme = next((name for name in (parts.scheme, "all") if proxies.get(name)), None)
    if scheme is None:
        return None
    variable = _variable_of(scheme)
    text = proxies[scheme]
    text = text if "://" in text else f"http://{text}"
    try:
        url = httpx.URL(text)
        is_usable = url.scheme in _SCHEMES and url.host and (url.port or 1) < 65_536
    except httpx.InvalidURL:
        is_usable = False
    if not is_usable:
        raise SettingsError(
            f"{variable} must be the URL of a proxy such as http://proxy.example:3128, was "
            f"{_without_password(text)!r}: correct it, or leave it out."
        )
    return Proxy(url, variable)


def http_client(
    root: str, proxy: Proxy | None, *, timeout: httpx.Timeout, limits: httpx.Limits
) -> httpx.AsyncClient:
    """An HTTP client for the API root; it reads no environment variables itself.

    Raises SettingsError if the proxy or the certificates cannot be used.
    """
    with _sentences(proxy):
        return httpx.AsyncClient(
            base_url=root,
            timeout=timeout,
            limits=limits,
            verify=_certificates() if root.startswith("https:") else _NO_CERTIFICATES,
            proxy=httpx.Proxy(proxy.url) if proxy else None,
            trust_env=False,
            # Only gzip is decompressed, and only up to a bound.
            headers={"Accept-Encoding": "gzip"},
        )


def websocket_options(root: str, proxy: Proxy | None) -> dict[str, Any]:
    """The options of `websockets.connect` for the proxy and the certificates of a WebSocket.

    Raises SettingsError if either cannot be used.
    """
    options: dict[str, Any] = {"proxy": str(proxy.url) if proxy else None}
    with _sentences(proxy, "python-socks[asyncio]"):
        if proxy and proxy.url.scheme.startswith("socks"):
            import_module("python_socks")
        if root.startswith("wss:"):
            options["ssl"] = _certificates()
    return options


# A root over plain HTTP never uses TLS: this context trusts no server.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _certificates() -> ssl.SSLContext:
    folder = os.environ.get("SSL_CERT_DIR")
    if folder and not os.environ.get("SSL_CERT_FILE") and not Path(folder).is_dir():
        raise NotADirectoryError(0, "it is not a folder", folder)
    return httpx.create_ssl_context()


@contextmanager
def _sentences(proxy: Proxy | None, package: str = "httpx[socks]") -> Iterator[None]:
    """Convert errors in the block that a variable causes into SettingsError."""
    try:
        yield
    except ImportError as error:
        raise SettingsError(
            f"{proxy} uses SOCKS, which needs another package: install {package}, or name an "
            "HTTP proxy."
        ) from error
    except (OSError, ValueError) as error:
        names = [name for name in _OF_CERTIFICATES if os.environ.get(name)]
        if not names:
            raise
        settings = " and ".join(f"{name}={shown(os.environ[name])}" for name in names)
        reason = shown(getattr(error, "strerror", None) or error)
        raise SettingsError(
            f"The certificates to trust cannot be loaded ({reason}): correct or leave out "
            f"{settings}."
        ) from error


def _variable_of(scheme: str) -> str:
    """The variable that names the proxy of a scheme; "the system's settings" if there is none."""
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), "the system's settings")


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return shown(f"{scheme}://{'…@' if '@' in rest else ''}{rest.rpartition('@')[2]}")
