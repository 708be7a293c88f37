"""An HTTP cache between the exchange and its clients, such as a proxy."""

from collections.abc import Mapping

from starlette.responses import Response


class Cache:
    """Repeats the former response to a GET with the same URL; a POST is passed on.

    `obeys` decides whether a request's `Cache-Control: no-cache` is obeyed. `hits` counts the
    responses from the cache.
    """

    def __init__(self, *, obeys: bool = False) -> None:
        self._obeys = obeys
        self._kept: dict[str, Response] = {}
        self._mixed_up: list[tuple[str, str]] = []
        self.hits = 0

    def mix_up(self, instrument_name: str, other: str) -> None:
        """Answer the next uncached request for an instrument with the response for another one."""
        self._mixed_up.append((instrument_name, other))

    def confuse(self, instrument_name: str, other: str) -> None:
        """Answer every URL of an instrument with the cached response for the other instrument."""
        for url, response in list(self._kept.items()):
            if other in url:
                self._kept[url.replace(other, instrument_name)] = response

    def kept(self, url: str, headers: Mapping[str, str]) -> Response | None:
        """The cached response to the URL, if it may be repeated."""
        if self._obeys and "no-cache" in headers.get("cache-control", ""):
            return None
        found = self._kept.get(url)
        self.hits += found is not None
        return found

    def keep(self, url: str, response: Response) -> Response:
        """Cache a response for later requests of the same URL."""
        self._kept[url] = response
        return response

    def mixed_up(self, params: dict[str, str]) -> dict[str, str]:
        """The parameters to send to the exchange instead."""
        for mixed in self._mixed_up:
            if params.get("instrument_name") == mixed[0] and "start_timestamp" in params:
                self._mixed_up.remove(mixed)
                return params | {"instrument_name": mixed[1]}
        return params
