"""What a process took, and what it says that it received."""

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
    """What a command says at its end: requests, the rows that they brought, and the seconds that
    it took once it had started, 0 where it does not say them."""

    requests: int
    rows: int
    seconds: float = 0.0


def ended(process: Popen[Any]) -> Ended:
    """Wait for the end of a process."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def received(said: str) -> Received | None:
    """The summary in what a command said, if it said one."""
    found = _SUMMARY.search(said)
    if not found:
        return None
    requests, rows, seconds = (float((text or "0").replace(",", "")) for text in found.groups())
    return Received(int(requests), int(rows), seconds)
