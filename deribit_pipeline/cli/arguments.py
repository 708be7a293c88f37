"""Command-line values, parsed and validated; an invalid one raises InputError."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from deribit_pipeline import selection
from deribit_pipeline.cli import instrument_choice as universe
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import DATASETS, ROW_DATASETS, Selection, series_of
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset, Group, SeriesKind
from deribit_pipeline.domain.location import Location
from deribit_pipeline.domain.specification import INSTRUMENT_NAME
from deribit_pipeline.domain.windows import TimeWindow
from deribit_pipeline.engine.reach import currencies_of
from deribit_pipeline.errors import InputError
from deribit_pipeline.selection import choice_of, or_near, series_name
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse


def resolution(text: str) -> Resolution:
    """The resolution, in Deribit's spelling or in the common one: 60 or 1h."""
    for each in Resolution:
        if text.lower() in (each.value.lower(), each.label):
            return each
    choices = ", ".join(item.value for item in Resolution)
    raise InputError(f"--resolution must be one of {choices}, was {text!r}.")


@dataclass(frozen=True, slots=True)
class RequestedDays:
    """The dataset and the series that the options select."""

    dataset_name: str | None
    resolution: str | None
    instruments: Sequence[str] | None
    series: Sequence[str] | None

    def dataset(self) -> Dataset:
        """The selected dataset; one-minute candles by default."""
        found = self._datasets()
        return found[0] if found else CANDLES[Resolution.MINUTE_1]

    def names(
        self, dataset: Dataset, settings: Settings, warehouse: Warehouse, window: TimeWindow
    ) -> tuple[str, ...]:
        """The series named in the options; by default, those of the configured universe. Selectors
        select what was listed in the window; the warehouse has the listings."""
        if dataset.series is SeriesKind.INSTRUMENT:
            if self.series is not None:
                raise InputError(f"{_capital(dataset.label)} are by instrument: use --instruments.")
            return self._instruments(dataset, settings, warehouse, window)
        if self.instruments is not None:
            raise InputError(
                f"{_capital(dataset.label)} are by {dataset.series.label}: use --series."
            )
        if self.series is None:
            by_currency = currencies_of(dataset, settings)
            return by_currency or series_of(
                dataset, universe.wanted(None, settings, warehouse, window)
            )
        chosen = series_names(self.series)
        if dataset.series is SeriesKind.INDEX:
            chosen = tuple(name.lower() for name in chosen)
        others = [name for name in chosen if name not in dataset.currencies]
        if dataset.currencies and others:
            raise InputError(
                f"--series names {', '.join(others)}: --dataset {dataset.name} has only "
                f"{', '.join(dataset.currencies)}."
            )
        return chosen

    def _instruments(
        self, dataset: Dataset, settings: Settings, warehouse: Warehouse, window: TimeWindow
    ) -> tuple[str, ...]:
        """The instruments of the names and selectors. Raises InputError for a name that the dataset
        does not have, and if there are none."""
        texts = self.instruments
        typed = choice_of(texts, "--instruments").names if texts is not None else ()
        others = [name for name in typed if not series_of(dataset, [name])]
        if others:
            raise InputError(
                f"{_capital(dataset.label)} are available for perpetuals only; {', '.join(others)} "
                f"{'is not a perpetual' if len(others) == 1 else 'are not perpetuals'}."
            )
        found = series_of(dataset, universe.wanted(texts, settings, warehouse, window))
        if not found:
            whose = "the settings select" if texts is None else "--instruments selects"
            raise InputError(
                f"{_capital(dataset.label)} are available for perpetuals only, and {whose} none."
            )
        return found

    def selection(
        self, settings: Settings, first: date | None = None, last: date | None = None
    ) -> Selection:
        """The stored days that the options select; all by default."""
        days = universe.window_of(first, last)
        named = universe.of_held(self.instruments, settings, self._datasets(), days)
        if self.series is not None:
            named += series_names(self.series)
        return Selection(self._datasets(), named, first, last)

    def require_held(self, selection: Selection, held: Collection[str], where: Location) -> None:
        """Raise InputError for a named series without any stored day in the selection."""
        of_series = series_names(self.series) if self.series is not None else ()
        for name in selection.series:
            if name not in held:
                option = "--series" if name in of_series else "--instruments"
                raise InputError(
                    f"{option} names {name}: {where} holds {_nothing_of(self._datasets())} {name}."
                    f"{or_near(name, held)}"
                )

    def _datasets(self) -> tuple[Dataset, ...]:
        of_resolution = resolution(self.resolution) if self.resolution is not None else None
        if self.dataset_name in (None, "candles"):
            if of_resolution is not None:
                return (CANDLES[of_resolution],)
            return () if self.dataset_name is None else tuple(CANDLES.values())
        found = DATASETS.get(str(self.dataset_name))
        if found is None:
            choices = ", ".join(["candles", *(dataset.name for dataset in ROW_DATASETS)])
            raise InputError(f"--dataset must be one of {choices}, was {self.dataset_name!r}.")
        if of_resolution is not None:
            raise InputError(
                f"--resolution applies to candles only, and --dataset is {found.name}."
            )
        return (found,)


def require_account(dataset: Dataset, settings: Settings) -> None:
    """Raise InputError if the dataset needs an account and no API key is configured."""
    if dataset.group is Group.ACCOUNT and not settings.client_id:
        raise InputError(
            f"--dataset {dataset.name} needs your own account: set DERIBIT_CLIENT_ID and "
            "DERIBIT_CLIENT_SECRET of an API key with the scope account:read trade:read."
        )


def series_names(texts: Iterable[str]) -> tuple[str, ...]:
    """The currencies or indices in comma-separated lists."""
    parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    for part in parts:
        if not INSTRUMENT_NAME.fullmatch(part):
            raise InputError(f"--series holds {part!r}: write it like BTC,ETH or btc_usd.")
    if not parts:
        raise InputError("--series names nothing: write it like BTC,ETH or btc_usd.")
    return tuple(dict.fromkeys(map(series_name, parts)))


def day(text: str, option: str) -> date:
    """The UTC day, as `selection.day` reads it."""
    return selection.day(text, option, datetime.now(UTC).date())


def window(start: str | None, end: str | None) -> tuple[date | None, date | None]:
    """The first and the last day, both included; None if the option was not given."""
    first = day(start, "--start") if start is not None else None
    last = day(end, "--end") if end is not None else None
    if first and last and last < first:
        raise InputError(f"--end {last} is before --start {first}.")
    for option, value in (("--start", first), ("--end", last)):
        if value and value.year < 1970:
            raise InputError(f"{option} {value} is before 1970, where the exchange's time begins.")
        not_future(option, value)
    return first, last


def future(option: str, value: date, today: date) -> InputError:
    """The error for a day in the future."""
    return InputError(f"{option} {value} is in the future: today is {today} (UTC).")


def not_future(option: str, value: date | None) -> None:
    """Raise InputError for a day that is in the future on any plausible clock."""
    # The exact test uses the exchange's clock later; no clock is wrong by more than a day.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    if value and value > tomorrow:
        raise future(option, value, tomorrow - timedelta(days=1))


def require_indexes(names: Iterable[str], returned: Collection[str]) -> None:
    """Raise InputError for indices that the exchange does not have."""
    unknown = [name for name in names if name not in returned]
    if unknown:
        raise InputError(
            f"--series names {', '.join(unknown)}: the exchange has no such index. They are "
            f"written like btc_usd.{or_near(unknown[0], returned)}"
        )


def nothing_held(where: Location) -> str:
    """The sentence for a selection without any day."""
    return f"{where} holds no such day: see deribit-pipeline backfill --help."


def _nothing_of(datasets: Collection[Dataset]) -> str:
    labels = {dataset.label for dataset in datasets}
    if len(labels) == 1:
        return f"no {labels.pop()} of"
    return "no candles of" if labels else "nothing of"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
