"""What a recording has done so far, for the status line and the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class Counts:
    """The counts of one stream: slots with and without a complete snapshot, entries that could not
    be written, bytes written, and the newest slot with a complete snapshot."""

    complete: int = 0
    incomplete: int = 0
    lost: int = 0
    bytes: int = 0
    newest: datetime | None = None


def status(counts: Mapping[str, Counts]) -> str:
    """One line for all streams."""
    complete = sum(each.complete for each in counts.values())
    incomplete = sum(each.incomplete for each in counts.values())
    lost = sum(each.lost for each in counts.values())
    megabytes = sum(each.bytes for each in counts.values()) / 1e6
    newest = [each.newest for each in counts.values() if each.newest]
    parts = [f"{', '.join(counts)}: {complete:,} snapshots"]
    if newest:
        parts.append(f"the newest of {max(newest):%H:%M:%S} UTC")
    if incomplete:
        parts.append(f"{incomplete:,} slots without one")
    if lost:
        parts.append(f"{lost:,} responses could not be written")
    return ", ".join([*parts, f"{megabytes:,.1f} MB"])
