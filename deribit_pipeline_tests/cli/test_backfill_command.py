"""The command that an error about incomplete days advises."""

from datetime import date

import pytest

from deribit_pipeline.cli.backfill_command import with_command
from deribit_pipeline.errors import IncompleteDays

MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)
BACKFILL = (
    "run deribit-pipeline backfill --dataset {} --series BTC --start 2024-01-02 --end 2024-01-02"
)


def advice(dataset: str, *states: str) -> str:
    days = dict(zip((MONDAY, TUESDAY), states, strict=False))
    error = IncompleteDays("It is", dataset=dataset, series="BTC", days=days)
    return str(with_command(error, "export the rest"))


@pytest.mark.parametrize("state", ["gapped, 3 missing", "open, 1,440 missing"])
def test_no_backfill_is_advised_for_slots_that_were_not_recorded(state: str) -> None:
    assert advice("book_summaries", state) == (
        "It is: what was not recorded is lost, so export the rest."
    )


@pytest.mark.parametrize("state", ["never requested", "open"])
def test_a_backfill_takes_in_what_was_recorded_of_the_other_days(state: str) -> None:
    assert advice("book_summaries", "gapped, 3 missing", state) == (
        f"It is: {BACKFILL.format('book_summaries')} to take in what was recorded (the rest is "
        "lost), or export the rest."
    )


def test_a_backfill_is_advised_for_what_has_a_history() -> None:
    assert advice("settlements", "not listed", "gapped, 3 missing") == (
        f"It is: {BACKFILL.format('settlements')}, or export the rest."
    )
    assert advice("settlements", "not listed", "not listed") == "It is"
