"""Processes of this machine, under names that are never reused."""

import os
from pathlib import Path


def name_of(pid: int) -> str:
    """A process by its id and its start time: ids are reused, in containers above all."""
    status = _status(pid)
    return f"{pid}@{status[19] if status else ''}"


def is_alive(name: str) -> bool:
    """Whether the process with this name still runs. Raises ValueError for a malformed name."""
    pid = int(name.partition("@")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        pass
    status = _status(pid)
    has_ended = bool(status) and status[0] in "ZX"  # a zombie: its parent has not waited for it
    return not has_ended and name_of(pid) == name


def _status(pid: int) -> list[str]:
    """The fields after the name in Linux's /proc/PID/stat, the state first; empty if the process is
    gone or the system is not Linux."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
