"""The summary of a backfill says what is true of days that are not over."""

from datetime import UTC, date, datetime

import pytest

from deribit_pipeline.cli.backfill_report import print_report
from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.engine.outcome import Outcome

TODAY = date(2024, 4, 10)
NOON = datetime(2024, 4, 10, 12, tzinfo=UTC)
REST = "For the rest, run the same command tomorrow with --start 2024-04-10.\n"
HOURS = CANDLES[Resolution.HOUR_1]


@pytest.mark.parametrize(
    ("dataset", "missing", "stored"),
    [
        (HOURS, 0, "every closed row is stored"),
        (HOURS, 1, "every closed row that was returned is stored; missing so far: 1 candle"),
        (BOOK_SUMMARIES, 0, "what was recorded so far is stored"),
        (
            BOOK_SUMMARIES,
            12,
            "what was recorded so far is stored; not recorded, and missing for good: 12 snapshots",
        ),
    ],
)
def test_a_day_that_is_not_over_has_what_is_stored_and_the_day_to_begin_with(
    dataset: Dataset, missing: int, stored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = Proof(
        dataset.name, "BTC", TODAY, DayState.OPEN, 24, 12 - missing, missing, "", 0, "", NOON
    )
    total = Outcome(1, proofs={("BTC", TODAY): proof})
    assert print_report(total, dataset, {"BTC": [TODAY]}, NOON) == 0
    assert f"Not over yet: 1 day; {stored}. {REST}" in capsys.readouterr().err
