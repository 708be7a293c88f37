"""A WebSocket of the server, with what ASGI does not offer: sending at once whatever the reader
does, the bytes that wait for it, and an abrupt end.

Imported when a socket connects: the library behind it is slow to import, and few tests need it.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_CLOSING = 1.0
"""Seconds in which the client should confirm that a socket is closed."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One socket. Its methods must be called in the server's event loop."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["state"]["socket"] = self  # where `Sockets.serve` finds it

    @property
    def open_connections(self) -> int:
        """The number of open connections of the server, those of HTTP included."""
        return len(self.connections)

    @property
    def waiting(self) -> int:
        """The bytes that the client has not read yet, without those in the system's buffers."""
        return self.transport.get_write_buffer_size()

    def send_frame(self, text: bytes) -> None:
        """Send a text; it waits if the client does not read."""
        if not (self.close_sent or self.transport.is_closing()):
            self.conn.send_text(text)
            self.transport.write(b"".join(self.conn.data_to_send()))

    def close(self, code: int, reason: str) -> None:
        """Close with a code, after all that was sent."""
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:  # else the client's confirmation would not be read
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_CLOSING, self.transport.abort)

    def cut(self) -> None:
        """Close without a word."""
        self.transport.abort()
