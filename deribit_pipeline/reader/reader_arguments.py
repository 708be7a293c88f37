"""The reader's arguments, each checked once; a wrong one is an InputError of one sentence."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import index
from typing import Literal, TypeAlias

from deribit_pipeline import selection
from deribit_pipeline.datasets.candles.composed import is_readable
from deribit_pipeline.domain.windows import END_OF_TIME, ONE_DAY, TimeWindow, day_window
from deribit_pipeline.errors import InputError

Moment: TypeAlias = str | date | datetime
Length: TypeAlias = str | int | timedelta
"""The length of a candle: in Deribit's spelling, in minutes, or as in 4h."""

Label: TypeAlias = Literal["open", "close"]

_EPOCH = datetime.fromtimestamp(0, UTC)

_RELATIVE = re.compile(r"today|yesterday|-\d{1,5}d")
_LENGTH = re.compile(r"([0-9]{1,5}) ?([a-zA-Z]*)")
# A capital M is no unit: it means a month elsewhere.
_UNITS = {
    "": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": ONE_DAY,
    "w": 7 * ONE_DAY,
}


def window(start: Moment, end: Moment | None) -> TimeWindow:
    """The window between two days, both whole, or two instants, of which the end is excluded; it
    ends at END_OF_TIME if there is no end."""
    first = moment(start, "start")
    begins = first if isinstance(first, datetime) else day_window(first).start
    if end is None:
        return TimeWindow(begins, END_OF_TIME)
    last = moment(end, "end")
    ends = last if isinstance(last, datetime) else day_window(last).end
    if begins >= ends:
        raise InputError(f"end {end} is not after start {start}.")
    return TimeWindow(begins, ends)


EVER = TimeWindow(_EPOCH, END_OF_TIME)


def known_at(as_of: Moment, window: TimeWindow) -> datetime:
    """The instant `as_of`; of a day, its end. InputError if the window begins later."""
    known = instant(as_of, "as_of")
    if known <= window.start:
        raise InputError(
            f"as_of {as_of} is not after start: no candle of the window had opened by then."
        )
    return known


def instant(value: object, name: str) -> datetime:
    """An instant; of a day, its end."""
    found = moment(value, name)
    return found if isinstance(found, datetime) else day_window(found).end


def length(value: object) -> timedelta:
    """The length of a candle: 60, "60", "1h" and "1D" are in Deribit's spelling or as usual."""
    found = value if isinstance(value, timedelta) else _length(value)
    if found is None or found <= timedelta(0) or not is_readable(found):
        raise InputError(
            "resolution must be minutes, or a length such as 1m, 4h, 1d or 1w, that divides a day "
            f"or is a week, was {value!r}."
        )
    return found


def _length(value: object) -> timedelta | None:
    text = value if isinstance(value, str) else str(_as_int(value))
    parts = _LENGTH.fullmatch(text.strip())
    if parts is None or parts[2] == "M":
        return None
    unit = _UNITS.get(parts[2].lower())
    return None if unit is None else int(parts[1]) * unit


def _as_int(value: object) -> int | None:
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def one_of(value: object, name: str, choices: Sequence[str]) -> str:
    """The value; InputError unless it is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, was {value!r}.")
    return value


def whole(value: object, name: str) -> int:
    """The value as a positive whole number: a fraction is refused and never rounded."""
    number = _as_int(value)
    if number is None or number < 1:
        raise InputError(f"{name} must be a whole number, 1 or more, was {value!r}.")
    return number


def wholes(value: object, name: str) -> list[int]:
    """One or several positive whole numbers, sorted, each once."""
    several = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    numbers = sorted({whole(each, name) for each in several})
    if not numbers:
        raise InputError(f"{name} names no number: name some, such as [24, 168].")
    return numbers


def earlier(since: datetime, minutes: int, what: str) -> datetime:
    """The instant this many minutes earlier; `what` names the argument in an error."""
    if minutes > (since - _EPOCH) // timedelta(minutes=1):
        raise InputError(f"{what} reach back beyond 1970, where the exchange's time begins.")
    return since - timedelta(minutes=minutes)


def moment(value: object, name: str) -> date | datetime:
    """An instant with its time zone, or a day; text without a time is a day."""
    found = _parsed(value, name) if isinstance(value, str) else value
    if not isinstance(found, date) or found != found:  # true for pandas' NaT only
        raise InputError(
            f"{name} must be a day such as 2024-01-31, today or -7d, or an instant such as "
            f"2024-01-31T08:00, was {value!r}."
        )
    # A year far off is refused before any arithmetic overflows. The exchange's clock decides which
    # day it is; a tolerance of a day covers a wrong local clock.
    if found.year < _EPOCH.year:
        raise InputError(f"{name} {value} is before 1970, where the exchange's time begins.")
    now = current_day()
    is_later = found.year > now.year + 1
    if isinstance(found, datetime) and not is_later:
        found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
        is_later = found > day_window(now + ONE_DAY).end
    elif not is_later:
        is_later = found > now + ONE_DAY
    if is_later:
        raise InputError(f"{name} {value} is in the future: today is {now} (UTC).")
    return found


def current_day() -> date:
    """The UTC day that it is."""
    return datetime.now(UTC).date()


def _parsed(text: str, name: str) -> date | datetime | None:
    if _RELATIVE.fullmatch(text.lower()):
        return selection.day(text, name, current_day())
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            return parse(text)
        except ValueError:
            continue
    return None
