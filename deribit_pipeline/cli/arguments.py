"""What was typed, as values; a wrong one is one clear sentence."""

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deribit_pipeline.domain import Resolution
from deribit_pipeline.errors import InputError
from deribit_pipeline.settings import instrument_names


def instruments(text: str | None, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The instruments named, or the default where the option was not given."""
    return default if text is None else instrument_names(text, "--instruments")


def resolution(text: str) -> Resolution:
    """The resolution, in Deribit's spelling."""
    try:
        return Resolution(text)
    except ValueError as error:
        choices = ", ".join(item.value for item in Resolution)
        raise InputError(f"--resolution must be one of {choices}, was {text!r}.") from error


def day(text: str, option: str) -> date:
    """The UTC day, as 2024-01-31."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{option} must be a day such as 2024-01-31, was {text!r}.") from error


def window(start: str | None, end: str | None) -> tuple[date | None, date | None]:
    """The first and last day; None where the option was not given."""
    first = day(start, "--start") if start is not None else None
    last = day(end, "--end") if end is not None else None
    if first and last and last < first:
        raise InputError(f"--end {last} is before --start {first}.")
    for option, value in (("--start", first), ("--end", last)):
        if value and value.year < 1970:
            raise InputError(f"{option} {value} is before 1970, where the exchange's time begins.")
    # Which day it is, the exchange's clock decides later; no clock is wrong by more than a day.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    for option, value in (("--start", first), ("--end", last)):
        if value and value > tomorrow:
            raise future(option, value, tomorrow - timedelta(days=1))
    return first, last


def future(option: str, value: date, today: date) -> InputError:
    """The error for a day that has not come yet."""
    return InputError(f"{option} {value} is in the future: today is {today} (UTC).")


def require_held(names: Collection[str], held: Collection[str], path: Path) -> None:
    """Raise InputError for an instrument named of which the warehouse holds nothing."""
    for name in names:
        if name not in held:
            raise InputError(f"--instruments names {name}, of which {path} holds nothing.")
