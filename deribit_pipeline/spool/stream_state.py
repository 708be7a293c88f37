"""What the newest entries of a stream say about its recorder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import (
    ALIVE,
    CONNECTED,
    DISCONNECTED,
    STARTED,
    STOPPED,
)

_STATES = (ALIVE, CONNECTED, DISCONNECTED, STOPPED)


@dataclass(slots=True)
class StreamState:
    """The state of a stream and its recorder.

    `as_of` is the newest time of the exchange, None without any; `is_stopped`, whether the recorder
    has ended. `event` is the newest mark of its connection, empty without one, and `facts` are
    those of this mark, with the newest counts.
    """

    as_of: datetime | None = None
    is_stopped: bool = False
    event: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def stream_state(spool: Spool, stream: str) -> StreamState:
    """The state of a stream by the newest entries of its files."""
    state, is_of_current, has_counts = StreamState(), True, False
    for number, entry in enumerate(spool.newest_first(stream)):
        state.is_stopped |= number == 0 and entry.event == STOPPED
        state.as_of = state.as_of or entry.as_of
        if is_of_current and entry.event in _STATES:
            state.event = state.event or entry.event
            state.facts = {**entry.facts, **state.facts}
            has_counts |= entry.event in (ALIVE, STOPPED)
        is_of_current &= entry.event != STARTED
        if state.as_of and (has_counts or not is_of_current):
            break
    return state
