"""What the WebSocket allows, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """The limits of Deribit's WebSocket, so far as they are known. Times are in seconds.

    `connections` counts all open connections of the server, HTTP and WebSocket together, since all
    of them come from one address; only WebSockets are refused. `backlog` is the number of bytes
    that may wait for a slow reader (the exchange's own figure is undocumented). `time_scale`
    multiplies all times, so that tests need not wait for a heartbeat of 30 seconds.
    """

    connections: int = 32
    channels_in_a_message: int = 500
    subscribes_per_second: float = 10 / 3
    subscribes_in_a_burst: int = 10
    shortest_heartbeat: float = 10.0
    answer_within: float = 10.0
    idle_for: float = 60.0
    backlog: int = 4 << 20
    time_scale: float = 1.0
