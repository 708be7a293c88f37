"""What a recording has done so far, for the status line, the log, and the marks in the spool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from deribit_pipeline.recorder.latencies import Latencies

# Instruments whose newest trade is remembered: more than are listed at a time.
_MOST_INSTRUMENTS = 20_000


@dataclass(slots=True)
class Counts:
    """The counts of one stream of snapshots: slots with and without a complete snapshot, entries
    that could not be written, bytes written, and the newest slot with a complete snapshot."""

    complete: int = 0
    incomplete: int = 0
    lost: int = 0
    bytes: int = 0
    newest: datetime | None = None


def snapshots_status(counts: Mapping[str, Counts]) -> str:
    """One line for all streams of snapshots."""
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


@dataclass(slots=True)
class TradeCounts:
    """The counts of all streams of trades since the start.

    `frames` are notifications, and `trades` rows in them, repeated ones too. `holes` are numbers
    that do not follow the highest one before them, and `missing` the trades in between, also those
    that came late. `connections` have been made; the channels are subscribed at the moment if
    `is_connected`. `latencies` are from a notification's newest trade until it is on the disk.
    """

    frames: int = 0
    trades: int = 0
    holes: int = 0
    missing: int = 0
    lost: int = 0
    bytes: int = 0
    connections: int = 0
    is_connected: bool = False
    newest: datetime | None = None
    latencies: Latencies = field(default_factory=Latencies)
    _numbers: dict[str, int] = field(default_factory=dict, repr=False)

    def note(self, instrument_name: str, number: int) -> None:
        """Count a trade by its number."""
        self.trades += 1
        highest = self._numbers.pop(instrument_name, None)
        if highest is not None and number > highest + 1:
            self.holes += 1
            self.missing += number - highest - 1
        self._numbers[instrument_name] = number if highest is None else max(number, highest)
        if len(self._numbers) > _MOST_INSTRUMENTS:  # of those that expired long ago
            del self._numbers[next(iter(self._numbers))]

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connections - 1)

    def facts(self) -> dict[str, int | float | None]:
        """The counts as facts of a mark in the spool."""
        return {
            "connection": self.connections,
            "frames": self.frames,
            "trades": self.trades,
            "holes": self.holes,
            "missing": self.missing,
            "median_ms": self.latencies.quantile_ms(0.5),
            "p99_ms": self.latencies.quantile_ms(0.99),
        }

    def status(self) -> str:
        """One line."""
        parts = [f"trades: {self.trades:,}"]
        if self.newest:
            parts.append(f"the newest of {self.newest:%H:%M:%S} UTC")
        if self.latencies.count:
            half, most = (self.latencies.quantile_ms(share) or 0.0 for share in (0.5, 0.99))
            parts.append(f"{half:,.0f} ms to the disk (p99 {most:,.0f} ms)")
        if self.reconnects:
            parts.append(f"{self.reconnects:,} reconnects")
        if self.holes:
            parts.append(f"{self.holes:,} holes of {self.missing:,} trades")
        if self.lost:
            parts.append(f"{self.lost:,} notifications could not be written")
        if not self.is_connected:
            parts.append("not connected")
        return ", ".join([*parts, f"{self.bytes / 1e6:,.1f} MB"])
