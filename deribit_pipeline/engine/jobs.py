"""Days of series, divided into jobs of one Dagster run each, and their outcomes."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from deribit_pipeline.domain.windows import days_between, spans_of
from deribit_pipeline.engine.outcome import Key, Outcome

Days = Mapping[str, Collection[date]]
"""The days of each series: of an instrument, a currency, an index."""

# A run costs more than thirty of its days, so days already proved are recorded again rather than
# dividing a run.
_BRIDGED_DAYS = 30

# The days of a run are recorded when it ends, while the next run's are fetched: 4,000, the whole
# life of an instrument, take a second, and a run by itself as long as some hundred of its days.
_MOST_DAYS = 4_000


@dataclass(slots=True)
class Job:
    """The days of one Dagster run, and their outcome so far."""

    run_id: str
    days: Days
    outcome: Outcome = field(init=False)

    def __post_init__(self) -> None:
        self.outcome = Outcome(requested=len(self.series_days()))

    def series_days(self) -> set[Key]:
        """The days of each series, sorted and without duplicates."""
        return {(name, day) for name, required in self.days.items() for day in required}


def jobs_of(days: Days, most: int = _MOST_DAYS, bridging: int = _BRIDGED_DAYS) -> list[Job]:
    """The days as jobs: each is a span of days, the same for one or more series.

    Days between two requested ones are included where the span continues within `bridging` days.
    """
    alike: dict[tuple[date, date], list[str]] = {}
    for name, required in days.items():
        for span in spans_of(required, bridging=bridging):
            alike.setdefault(span, []).append(name)
    made = []
    for (first, last), names in sorted(alike.items()):
        together = max(1, most // ((last - first).days + 1))
        for n in range(0, len(names), together):
            for start in days_between(first, last, step=most):
                batch = list(days_between(start, min(last, start + timedelta(days=most - 1))))
                of_names = dict.fromkeys(names[n : n + together], batch)
                made.append(Job(str(uuid.uuid4()), of_names))
    return made
