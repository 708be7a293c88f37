"""The command that fetches the days that a reader found incomplete. It appears in the reader's
errors as well as in those of the command line."""

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import SeriesKind
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.errors import IncompleteDays


def with_command(error: IncompleteDays, otherwise: str) -> IncompleteDays:
    """The error, advising to run a backfill of its days, or else to do `otherwise`; unchanged where
    the series was not listed on any of them. No backfill fills a slot that was not recorded."""
    dataset = DATASETS[error.dataset]
    not_listed = DayState.NOT_LISTED.replace("_", " ")
    states = {day: known for day, known in error.days.items() if known != not_listed}
    if not states:
        return error
    days = list(states)
    if dataset.is_recorded:
        days = [day for day, known in states.items() if not known.endswith("missing")]
    if not days:
        return error.advising(f"what was not recorded is lost, so {otherwise}")
    what, whose = f"--dataset {dataset.name}", "--series"
    if dataset.resolution:
        what = f"--resolution {dataset.resolution.value}"
    if dataset.series is SeriesKind.INSTRUMENT:
        whose = "--instruments"
    lost = " to take in what was recorded (the rest is lost)" if dataset.is_recorded else ""
    return error.advising(
        f"run deribit-pipeline backfill {what} {whose} {error.series} --start {min(days)} "
        f"--end {max(days)}{lost}, or {otherwise}"
    )
