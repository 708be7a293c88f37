"""The tags by which Dagster's UI lists and finds a run: dataset, series and days."""

from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.first_names import first_names
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.engine.jobs import Days

_PLURALS = {
    SeriesKind.INSTRUMENT: "instruments",
    SeriesKind.CURRENCY: "currencies",
    SeriesKind.INDEX: "indices",
}

# How many series a tag names; the rest are counted.
_NAMED = 5


def run_tags(dataset: Dataset, days: Days, group: str = PLAIN) -> dict[str, str]:
    """The tags of a run for these days: `dataset`, `days`, and `instruments`, `currencies` or
    `indices`; of a group of instruments also `instrument_group`."""
    names, every = list(days), [day for some in days.values() for day in some]
    first, last = min(every), max(every)
    return {
        "dataset": dataset.name,
        _PLURALS[dataset.series]: first_names(names, _NAMED),
        "days": str(first) if first == last else f"{first} to {last}",
    } | ({"instrument_group": group} if group else {})
