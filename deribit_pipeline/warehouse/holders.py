"""Which process, or which part of this one, holds a DuckDB file that cannot be opened."""

import logging
import re
import threading
from dataclasses import dataclass
from pathlib import Path

import tenacity

logger = logging.getLogger(__name__)

SAID_AFTER = 2.0
"""Seconds after which waiting for a file is logged."""

# DuckDB's error texts: another process has the file open, or another connection of this one.
_IN_ANOTHER = "Could not set lock"
_IN_THIS = ("different configuration", "Unique file handle conflict")

_HOLDER = re.compile(r"held in (.+?) \(PID (\d+)\)")


class Busy(Exception):
    """Another process, or another connection of this one, has the file open at this moment."""

    @property
    def holder(self) -> str:
        """Who has the file open."""
        if self.is_here:
            return "another connection of this process"
        found = _HOLDER.search(str(self))
        return f"another process (PID {found[2]}, {found[1]})" if found else "another process"

    @property
    def is_here(self) -> bool:
        """Whether it is this process."""
        return any(sign in str(self) for sign in _IN_THIS)


def is_busy(message: str) -> bool:
    """Whether DuckDB's error message says that the file is open elsewhere."""
    return any(sign in message for sign in (_IN_ANOTHER, *_IN_THIS))


@dataclass(frozen=True, slots=True)
class _Use:
    """The connections of this package to a file: how many are open, and how many ever were."""

    open: int = 0
    ever: int = 0


class OwnConnections:
    """The connections of this package to each file, in this process: a conflict within the process
    is either with one of these, and soon over, or with a connection that its user opened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uses: dict[str, _Use] = {}

    def of(self, path: Path) -> _Use:
        """The connections to a file at this moment."""
        with self._lock:
            return self._uses.get(_key(path), _Use())

    def enter(self, path: Path) -> None:
        """Count a connection that is about to be opened."""
        self._change(path, 1)

    def leave(self, path: Path) -> None:
        """Count a connection as closed."""
        self._change(path, -1)

    def _change(self, path: Path, by: int) -> None:
        with self._lock:
            use = self._uses.get(_key(path), _Use())
            self._uses[_key(path)] = _Use(use.open + by, use.ever + max(by, 0))


def was_alone(before: _Use, after: _Use) -> bool:
    """Whether a failed attempt to connect, counted between the two moments, was the only use of the
    file by this package meanwhile."""
    return before.open == after.open == 0 and after.ever == before.ever + 1


OWN = OwnConnections()


class Waiting:
    """Logs once, after two seconds of waiting for a file, who holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_said = False

    def __call__(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        waited = state.seconds_since_start or 0.0
        if self._is_said or waited < SAID_AFTER or not isinstance(error, Busy):
            return
        self._is_said = True
        logger.warning("Waiting for %s, which %s has open", self._path, error.holder)


def _key(path: Path) -> str:
    return str(path.resolve())
