"""Processes of this machine, by names that are given once."""

import os
from pathlib import Path


def name_of(pid: int) -> str:
    """A process by its number and its start: numbers are given again, in a container above all."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:  # gone, or no Linux
        started = ""
    return f"{pid}@{started}"


def is_alive(name: str) -> bool:
    """Whether the process that was named so is still there. Raises ValueError for no name."""
    pid = int(name.partition("@")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return name_of(pid) == name
