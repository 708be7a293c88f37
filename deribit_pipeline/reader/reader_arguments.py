"""The reader's arguments, each checked once; a wrong one is an InputError of one sentence."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from operator import index
from typing import TypeAlias

from deribit_pipeline.datasets.registry import series_of
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.specification import INSTRUMENT_NAME
from deribit_pipeline.domain.windows import ONE_DAY, TimeWindow, day_window
from deribit_pipeline.errors import InputError

Moment: TypeAlias = str | date | datetime

_EPOCH = datetime.fromtimestamp(0, UTC)
_EXAMPLES = {
    SeriesKind.INSTRUMENT: "BTC-PERPETUAL",
    SeriesKind.CURRENCY: "BTC",
    SeriesKind.INDEX: "btc_usd",
}


def window(start: Moment, end: Moment) -> TimeWindow:
    """The window between two days, both whole, or two instants, of which the end is excluded."""
    first, last = _moment(start, "start"), _moment(end, "end")
    begins = first if isinstance(first, datetime) else day_window(first).start
    ends = last if isinstance(last, datetime) else day_window(last).end
    if begins >= ends:
        raise InputError(f"end {end} is not after start {start}.")
    return TimeWindow(begins, ends)


def instant(value: object, name: str) -> datetime:
    """An instant; of a day, its end."""
    found = _moment(value, name)
    return found if isinstance(found, datetime) else day_window(found).end


def require_series(dataset: Dataset, name: object) -> None:
    """Raise InputError unless the dataset is available for the series of this name."""
    kind = dataset.series
    if not isinstance(name, str) or not INSTRUMENT_NAME.fullmatch(name):
        raise InputError(f"{kind.label} must be one name such as {_EXAMPLES[kind]}, was {name!r}.")
    if dataset.currencies and name not in dataset.currencies:
        raise InputError(
            f"{dataset.name} is available for {', '.join(dataset.currencies)}, not for {name}."
        )
    if dataset.is_of_perpetuals and not series_of(dataset, (name,)):
        raise InputError(
            f"{dataset.name} is available for perpetuals only; {name} is not a perpetual."
        )


def resolution(text: object) -> Resolution:
    """The resolution of candles, in Deribit's spelling."""
    return Resolution(one_of(text, "resolution", [item.value for item in Resolution]))


def one_of(value: object, name: str, choices: Sequence[str]) -> str:
    """The value; InputError unless it is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, was {value!r}.")
    return value


def whole(value: object, name: str) -> int:
    """The value as a positive whole number: a fraction is refused and never rounded."""
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{name} must be a whole number, 1 or more, was {value!r}.")
    return number


def earlier(moment: datetime, minutes: int, what: str) -> datetime:
    """The instant this many minutes earlier; `what` names the argument in an error."""
    if minutes > (moment - _EPOCH) // timedelta(minutes=1):
        raise InputError(f"{what} reach back beyond 1970, where the exchange's time begins.")
    return moment - timedelta(minutes=minutes)


def _moment(value: object, name: str) -> date | datetime:
    """An instant with its time zone, or a day; text without a time is a day."""
    found = _parsed(value) if isinstance(value, str) else value
    if not isinstance(found, date) or found != found:  # true for pandas' NaT only
        raise InputError(
            f"{name} must be a day such as 2024-01-31 or an instant such as 2024-01-31T08:00, "
            f"was {value!r}."
        )
    # A year far off is refused before any arithmetic overflows. The exchange's clock decides which
    # day it is; a tolerance of a day covers a wrong local clock.
    if found.year < _EPOCH.year:
        raise InputError(f"{name} {value} is before 1970, where the exchange's time begins.")
    today = datetime.now(UTC).date()
    is_later = found.year > today.year + 1
    if isinstance(found, datetime) and not is_later:
        found = found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
        is_later = found > day_window(today + ONE_DAY).end
    elif not is_later:
        is_later = found > today + ONE_DAY
    if is_later:
        raise InputError(f"{name} {value} is in the future: today is {today} (UTC).")
    return found


def _parsed(text: str) -> date | datetime | None:
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            return parse(text)
        except ValueError:
            continue
    return None
