"""A client of the sandbox's WebSocket for tests, written on the `websockets` library alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET

PATIENCE = 20.0
"""Seconds after which a message that does not come fails the test."""


class SocketClient:
    """Calls methods, and keeps the notifications that come in between."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.notifications: list[dict[str, Any]] = []
        self._called = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The response to a call, or the one without an id."""
        self._called += 1
        self.send({"jsonrpc": "2.0", "id": self._called, "method": method, "params": params})
        while (message := self.receive()).get("id", self._called) != self._called or (
            "method" in message
        ):
            self.notifications.append(message)
        return message

    def result(self, method: str, **params: Any) -> Any:
        """The result of a call."""
        response = self.call(method, **params)
        assert "result" in response, response
        return response["result"]

    def subscribe(self, *channels: str) -> list[str]:
        """Subscribe, and return the channels that the exchange acknowledged."""
        acknowledged: list[str] = self.result("public/subscribe", channels=list(channels))
        return acknowledged

    def log_in(self) -> None:
        """Log in with the only key of the sandbox."""
        keys = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        self.result("public/auth", grant_type="client_credentials", **keys)

    def send(self, message: object) -> None:
        self.connection.send(json.dumps(message))

    def receive(self) -> dict[str, Any]:
        """The next message."""
        return self.receive_within(PATIENCE)

    def receive_within(self, seconds: float) -> dict[str, Any]:
        """The next message. Raises TimeoutError if none comes."""
        message: dict[str, Any] = json.loads(self.connection.recv(timeout=seconds))
        return message

    def until_quiet(self, seconds: float) -> list[dict[str, Any]]:
        """The messages that come until none comes for so long; endless ones fail the test."""
        found: list[dict[str, Any]] = []
        try:
            while len(found) < 100:
                found.append(self.receive_within(seconds))
        except TimeoutError:
            return found
        raise AssertionError(f"messages without end: {found}")

    def received(self) -> list[dict[str, Any]]:
        """All notifications that were sent before this call, and were not returned before."""
        self.call("public/test")
        found, self.notifications = self.notifications, []
        return found

    def closed(self) -> tuple[int | None, str]:
        """The code and reason with which the server closes the socket: None if abruptly."""
        try:
            while True:
                self.connection.recv(timeout=PATIENCE)
        except ConnectionClosed as error:
            return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (None, "")


@contextmanager
def socket_client(url: str, **options: Any) -> Iterator[SocketClient]:
    """A client of the sandbox with this API root."""
    address = url.replace("http://", "ws://").replace("/api/v2", "/ws/api/v2")
    with connect(address, **options) as connection:
        yield SocketClient(connection)


def trades_in(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trades of notifications, in the order in which they came."""
    return [trade for message in messages for trade in message["params"]["data"]]
