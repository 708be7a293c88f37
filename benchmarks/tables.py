"""Rows that are measured in several rounds, and the Markdown tables of their medians."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from timed_commands import Measured, floor


@dataclass(frozen=True)
class Row:
    """A measured run: what was done, by which program.

    `calls` are the requests that the work needs, from which its floor follows: ours, for all
    programs. `days` are its instrument-days, `size` the bytes of the warehouse afterwards; 0 if
    they do not matter.
    """

    title: str
    by: str
    run: Measured
    calls: int = 0
    days: int = 0
    size: int = 0


@dataclass
class Case:
    """Rows that are measured together, by a name that `--only` takes. A long one is measured in the
    first round only."""

    name: str
    measure: Callable[[], Iterator[Row]]
    is_long: bool = False
    measured: dict[tuple[str, str], list[Row]] = field(default_factory=dict)

    def run(self) -> Iterator[Row]:
        """Measure once more."""
        for row in self.measure():
            self.measured.setdefault((row.title, row.by), []).append(row)
            yield row

    def medians(self) -> Iterator[Row]:
        """The run with the median duration, for each row."""
        for rows in self.measured.values():
            yield sorted(rows, key=lambda row: row.run.seconds)[len(rows) // 2]


@dataclass(frozen=True)
class Table:
    """A table: the heading of its first column, the names of the others, and its cases."""

    heading: str
    columns: Sequence[str]
    cases: Sequence[Case]

    def lines(self) -> Iterator[str]:
        """The table of the measured rows in Markdown; no lines if there are none."""
        if not any(case.measured for case in self.cases):
            return
        yield ""
        yield _line(self.heading, *self.columns)
        yield "|---|" + "".join("---|" if name == "by" else "--:|" for name in self.columns)
        for case in self.cases:
            yield from (self.line(row, case.is_long) for row in case.medians())

    def line(self, row: Row, is_once: bool) -> str:
        """A row in Markdown."""
        title = f"{row.title} ¹" if is_once else row.title
        return _line(title, *(_COLUMNS[name](row) for name in self.columns))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _ratio(row: Row) -> str:
    limit = floor(row.calls)
    return f"{row.run.seconds / limit:.2f}" if limit else ""


def _milliseconds_a_day(row: Row) -> str:
    """Empty for few days: they are the start-up of the process."""
    return f"{row.run.seconds / row.days * 1000:.2f}" if row.days > 100 else ""


def _number(value: float, form: str = ",.0f") -> str:
    """Empty for 0: it was not counted."""
    return format(value, form) if value else ""


_COLUMNS: dict[str, Callable[[Row], str]] = {
    "by": lambda row: row.by,
    "days": lambda row: _number(row.days),
    "s": lambda row: f"{row.run.seconds:.1f}",
    "once started": lambda row: _number(row.run.after_start, ".2f"),
    "floor": lambda row: f"{floor(row.calls):.1f}",
    "ratio": _ratio,
    "CPU s": lambda row: f"{row.run.cpu:.1f}",
    "ms a day": _milliseconds_a_day,
    "rows/s": lambda row: _number(row.run.rows / row.run.seconds),
    "MB": lambda row: f"{row.run.megabytes:.0f}",
    "requests": lambda row: _number(row.run.requests),
    "bytes a row": lambda row: _number(row.size / row.run.rows if row.size else 0, ".1f"),
}
