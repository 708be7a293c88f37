"""An HTTP cache between the exchange and its callers, as a proxy on the way may be one."""

from collections.abc import Mapping

from starlette.responses import Response


class Cache:
    """Answers a GET again with the bytes that its URL was answered with before; a POST passes.

    `obeys` says whether a request's `Cache-Control: no-cache` is obeyed. `hits` counts what was
    answered from the cache.
    """

    def __init__(self, *, obeys: bool = False) -> None:
        self._obeys = obeys
        self._kept: dict[str, Response] = {}
        self._mixed_up: list[tuple[str, str]] = []
        self.hits = 0

    def mix_up(self, instrument_name: str, other: str) -> None:
        """Answer the next request about an instrument, which is not kept, with another's answer."""
        self._mixed_up.append((instrument_name, other))

    def confuse(self, instrument_name: str, other: str) -> None:
        """Answer every URL about an instrument with what is kept of the other's like it."""
        for url, response in list(self._kept.items()):
            if other in url:
                self._kept[url.replace(other, instrument_name)] = response

    def kept(self, url: str, headers: Mapping[str, str]) -> Response | None:
        """What the URL was answered with, where that may be given again."""
        if self._obeys and "no-cache" in headers.get("cache-control", ""):
            return None
        found = self._kept.get(url)
        self.hits += found is not None
        return found

    def keep(self, url: str, response: Response) -> Response:
        """Keep an answer for the next who ask for the same URL."""
        self._kept[url] = response
        return response

    def mixed_up(self, params: dict[str, str]) -> dict[str, str]:
        """The parameters that the exchange is asked with instead."""
        for mixed in self._mixed_up:
            if params.get("instrument_name") == mixed[0] and "start_timestamp" in params:
                self._mixed_up.remove(mixed)
                return params | {"instrument_name": mixed[1]}
        return params
