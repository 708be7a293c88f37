"""Processes of this machine, by names that are given once."""

import os
from pathlib import Path


def name_of(pid: int) -> str:
    """A process by its number and its start: numbers are given again, in a container above all."""
    status = _status(pid)
    return f"{pid}@{status[19] if status else ''}"


def is_alive(name: str) -> bool:
    """Whether the process that was named so still runs. Raises ValueError for no name."""
    pid = int(name.partition("@")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    status = _status(pid)
    has_ended = bool(status) and status[0] in "ZX"  # and its parent has not asked for its end yet
    return not has_ended and name_of(pid) == name


def _status(pid: int) -> list[str]:
    """What Linux says of a process behind its name, its state first; nothing where it is gone, or
    elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
