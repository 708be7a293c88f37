"""Tables at every width: no name, number or date is cut, and nothing that is not zero is lost."""

import io
import re
from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from deribit_pipeline.cli import backfill_table
from deribit_pipeline.cli.backfill_table import all_done, print_days
from deribit_pipeline.cli.coverage import _legend
from deribit_pipeline.cli.printed_tables import Column, print_table
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import days_between

HOURS = CANDLES[Resolution.HOUR_1]
WIDTHS = (40, 60, 80, 100, 160)

COLUMNS = (
    Column("instrument", is_number=False),
    Column("complete"),
    Column("open", may_fold=True),
    Column("gapped", may_fold=True),
    Column("not listed", may_fold=True),
    Column("not proved", may_fold=True),
    Column("candles"),
    Column("listed", is_number=False, may_go=True),
)
ROWS = (
    ("BTC-PERPETUAL", 2_710, 1, 12, 0, 0, 3_902_400, "2018-08-14"),
    ("XRP_USDC-30JUN23-0d625-C", 15, 0, 0, 2_345, 3, 21_600, "2023-06-15"),
)


def shown(width: int, rows: tuple[tuple[str | int, ...], ...] = ROWS) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(console, "days", COLUMNS, rows)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_cell_of_a_table_is_cut(width: int) -> None:
    text = shown(width)
    words = set(re.findall(r"[^\s│┃,]+(?:,\d+)*", text))
    for value in ("BTC-PERPETUAL", "XRP_USDC-30JUN23-0d625-C", "2,710", "12", "2,345", "3,902,400"):
        assert value in words, text
    assert "…" not in text
    assert "2018-08-14" in words or "Not shown at this width: listed." in text


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_table_fits_the_usual_terminals(width: int) -> None:
    assert max(map(len, shown(width).splitlines())) <= width


def test_columns_of_zeros_are_left_out_and_rare_states_folded() -> None:
    assert "gapped" not in shown(160, ROWS[1:])
    assert "not proved" in shown(160).splitlines()[2]
    narrow = shown(80)
    assert "others" in narrow
    assert "1 open, 12 gapped" in narrow
    assert "3 not proved" in narrow


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_printed_of_a_table_without_rows(width: int) -> None:
    assert shown(width, ()) == ""
    console = Console(file=io.StringIO(), width=width)
    print_table(console, "days", (), ())
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def proof(name: str, day: date, state: DayState) -> Proof:
    received = 24 if state is DayState.COMPLETE else 0
    at = datetime(2024, 2, 1, tzinfo=UTC)
    return Proof(HOURS.name, name, day, state, 24, received, 0, "", 0, "", at)


def proofs(count: int, state: DayState) -> dict[tuple[str, date], Proof]:
    days = list(days_between(date(2024, 1, 1), date(2024, 1, 2)))
    names = [f"I-{n}" for n in range(count)]
    return {
        (name, day): proof(name, day, DayState.COMPLETE if n else state)
        for name in names
        for n, day in enumerate(days)
    }


def summary(held: dict[tuple[str, date], Proof], capsys: pytest.CaptureFixture[str]) -> str:
    requested: dict[str, list[date]] = {}
    for name, day in held:
        requested.setdefault(name, []).append(day)
    print_days(HOURS, requested, held)
    return capsys.readouterr().out


def test_many_series_are_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    most = backfill_table._MOST
    few = summary(proofs(most, DayState.COMPLETE), capsys)
    assert (few.count("│ I-"), "all" in few) == (most, False)
    many = summary(proofs(most + 1, DayState.NOT_LISTED), capsys)
    assert re.search(r"│ all 21 +│ +21 │ +21 │ +504 │", many), many
    assert "I-" not in many


def test_of_many_series_those_that_are_not_complete_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    held = proofs(30, DayState.COMPLETE)
    held["I-7", date(2024, 1, 1)] = proof("I-7", date(2024, 1, 1), DayState.GAPPED)
    assert re.findall("│ (I-[0-9]+)", summary(held, capsys)) == ["I-7"]
    text = summary(proofs(30, DayState.OPEN), capsys)
    assert text.count("│ I-") == backfill_table._MOST
    assert "10 more are not complete: see deribit-pipeline coverage." in text


def test_days_that_were_all_proved_before_are_one_sentence() -> None:
    complete = list(proofs(2, DayState.COMPLETE).values())
    assert all_done(complete) == "All 4 days are already complete."
    assert all_done(complete[:1]) == "The day is already complete."
    some = proofs(2, DayState.NOT_LISTED).values()
    assert all_done(some) == "All 4 days are already proved: 2 complete, 2 not listed."


def test_the_legend_of_the_calendar_fits_the_narrowest_terminal() -> None:
    for glyph in (0, 1):
        assert len(_legend(glyph)) <= 80
