"""What to do about days that are not complete, in words: the reader names no option of a
command."""

from datetime import date

from deribit_pipeline.datasets.candles.known import STORED_SINCE
from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.errors import IncompleteDays

_NOT_LISTED = DayState.NOT_LISTED.replace("_", " ")


def advised(error: IncompleteDays, question: str = "") -> IncompleteDays:
    """The error, with what to do; unchanged if the series was not listed on any of its days.

    `question` is whether another series was meant, which comes first.
    """
    days = {day: state for day, state in error.days.items() if state != _NOT_LISTED}
    if not days:
        return error
    steps = [_completed(error, list(days))]
    if all(STORED_SINCE in state for state in days.values()):
        steps = ["point-in-time history begins with the first backfill, so name a later as_of"]
    elif _may_end_earlier(days[max(days)]):
        steps.append("leave out end to read until the last closed one")
    advice = f"{', '.join(steps)}, or read the stored rows with complete_only=False"
    if question:
        return error.with_message(f"{error} {question} If not, {advice}.")
    return error.advising(advice)


def _completed(error: IncompleteDays, days: list[date]) -> str:
    dataset = DATASETS[error.dataset]
    if dataset.is_recorded:
        return "what was not recorded is lost, and deribit-pipeline record records from now on"
    what = dataset.name
    if dataset.resolution:
        what = f"candles of resolution {dataset.resolution.value}"
    if_any = ", of which only the newest days are available" if dataset.is_rolling else ""
    return (
        f"fetch them with deribit-pipeline backfill ({what} of {error.series} from {min(days)} to "
        f"{max(days)}{if_any})"
    )


def _may_end_earlier(state: str) -> bool:
    return state == DayState.OPEN or "need" in state
