"""Schedules: when which days of a dataset are requested automatically."""

import enum
from dataclasses import dataclass
from datetime import time


class Due(enum.Flag):
    """Days that a schedule requests if they are not settled."""

    TODAY = enum.auto()
    LAST_WEEK = enum.auto()
    """The days of the last week that are not complete yet."""
    REPAIR = enum.auto()
    """Every day that should be complete and is not; gaps at growing intervals."""
    RECORDED = enum.auto()
    """The days of which the spool has recordings."""


class Again(enum.Enum):
    """Settled days that a schedule requests once more, because the exchange may have changed
    them."""

    PROVED_YESTERDAY = enum.auto()
    PROVED_LAST_WEEK = enum.auto()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule of a dataset: `cron` is in UTC; its name ends with `every`."""

    every: str
    cron: str
    due: Due
    again: Again | None = None


def every_minutes(minutes: int, due: Due) -> Schedule:
    """Every so many minutes, which must divide an hour. Raises ValueError if they do not."""
    if minutes < 2 or 60 % minutes:
        raise ValueError(f"an hour has no whole number of times {minutes} minutes")
    return Schedule(f"every_{minutes}_minutes", f"*/{minutes} * * * *", due)


def hourly(minute: int, due: Due = Due.TODAY | Due.LAST_WEEK | Due.REPAIR) -> Schedule:
    """Every hour, at this minute. Raises ValueError if the minute is not 0 to 59."""
    return Schedule("hourly", f"{time(minute=minute).minute} * * * *", due)


def daily(at: str, due: Due = Due.LAST_WEEK | Due.REPAIR, again: Again | None = None) -> Schedule:
    """Every day at a time such as "00:12". Raises ValueError if it is not a time of day."""
    moment = time.fromisoformat(at)
    return Schedule("daily", f"{moment.minute} {moment.hour} * * *", due, again)


def weekly(at: str, due: Due, again: Again | None = None) -> Schedule:
    """Every Monday at a time such as "01:40". Raises ValueError if it is not a time of day."""
    moment = time.fromisoformat(at)
    return Schedule("weekly", f"{moment.minute} {moment.hour} * * 1", due, again)
