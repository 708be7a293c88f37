"""The resources that a process used, and the counts that it printed."""

import os
import re
from dataclasses import dataclass
from subprocess import Popen
from typing import Any

_SUMMARY = re.compile(
    r"^([\d,]+) (?:chart )?requests?, ([\d,]+) \w+(?: received in ([\d.,]+) s)?$", re.M
)


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code, CPU seconds and peak memory in MB."""

    code: int
    cpu: float
    megabytes: float


@dataclass(frozen=True)
class Received:
    """The summary that a command prints at its end: requests, rows, and the seconds without its own
    start-up, 0 if it does not print them."""

    requests: int
    rows: int
    seconds: float = 0.0


def ended(process: Popen[Any]) -> Ended:
    """Wait until a process ends."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def received(output: str) -> Received | None:
    """The summary in a command's output; None if there is none."""
    found = _SUMMARY.search(output)
    if not found:
        return None
    requests, rows, seconds = (float((text or "0").replace(",", "")) for text in found.groups())
    return Received(int(requests), int(rows), seconds)
