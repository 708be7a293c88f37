"""`sql`: the rows of a query, as a table, CSV or JSON."""

import csv
import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, Self

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import is_ascii, stderr, stdout
from deribit_pipeline.errors import InputError
from deribit_pipeline.reader.queries import require_query
from deribit_pipeline.reader.reading import opened
from deribit_pipeline.warehouse.connections import query_errors

MOST_SHOWN = 1_000
"""How many rows a table shows."""

_BATCH, _IN_MEMORY = 10_000, 64 << 20
_AS_TEXT = "cast(columns(*) as varchar)"
_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL")
_ROW = "row of the query"  # unlike the name of any column

# Doubles in a table have this many digits, or all of those before the point; floats have fewer.
_DIGITS = 10
_DOUBLES = re.compile(r"DOUBLE(\[\d*\])*")
_DOUBLE = re.compile(r"\d+\.\d+(e[+-]\d+)?")

Row = tuple[str | None, ...]


@command('deribit-pipeline sql "select state, count(*) as days from candle_days group by state"')
def sql(
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="One query in DuckDB's SQL; - reads it from stdin.",
            show_default=False,
        ),
    ],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with a header.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array with an object for each row.")
    ] = False,
) -> int:
    """Print the rows of a query on the warehouse, in UTC.

    Days that are not complete are included; the view complete_candles leaves them out. Columns of a
    table that is wider than the terminal are printed below each other; a table rounds to 10 digits
    and ends after 1,000 rows. CSV and JSON have all of them.
    """
    if as_csv and as_json:
        raise InputError("--csv and --json exclude each other.")
    text = sys.stdin.read() if query == "-" else query
    with SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", newline="") as output:
        with opened(None) as (connection, _), query_errors():
            require_query(connection, text)
            connection.execute("set python_enable_replacements = false")
            found = connection.sql(text)
            if found is None:  # such as a setting
                return 0
            table = None
            if as_json:
                row = found.set_alias(_ROW)
                _write_json(_fetched(row, f'to_json("{_ROW}")'), output)
            elif as_csv:
                written = csv.writer(output, lineterminator="\n")
                written.writerow(found.columns)
                written.writerows(_fetched(found, _AS_TEXT))
            else:
                table = _Shown.of(found)
        # Printed once the file is closed: a reader of the output may be slow.
        if table:
            table.print()
        output.seek(0)
        shutil.copyfileobj(output, sys.stdout)
    return 0


@dataclass(frozen=True, slots=True)
class _Shown:
    """The first rows, as text: one more than is shown."""

    columns: list[str]
    are_numbers: list[bool]
    rows: list[list[str]]

    @classmethod
    def of(cls, found: Any) -> Self:
        rows = islice(_fetched(found, _AS_TEXT), MOST_SHOWN + 1)
        kinds = list(map(str, found.types))
        are_doubles = [bool(_DOUBLES.fullmatch(kind)) for kind in kinds]
        return cls(
            found.columns,
            [any(name in kind for name in _NUMBERS) for kind in kinds],
            [
                [
                    _DOUBLE.sub(_rounded, _line(value)) if is_double else _line(value)
                    for value, is_double in zip(row, are_doubles, strict=True)
                ]
                for row in rows
            ],
        )

    def print(self) -> None:
        _print_table(self.columns, self.are_numbers, self.rows[:MOST_SHOWN])
        if not self.rows:
            stderr().print("0 rows.")
        if len(self.rows) > MOST_SHOWN:
            stderr().print(f"The first {MOST_SHOWN:,} rows; --csv and --json print all of them.")


def _fetched(found: Any, columns: str) -> Iterator[Row]:
    """Columns of the rows of a query, as text. No view of the rows is made: the query would see
    it."""
    result = found.project(columns)
    while some := result.fetchmany(_BATCH):
        yield from some


def _write_json(rows: Iterator[Row], output: IO[str]) -> None:
    """Write the rows, each of which is an object in JSON; a number that JSON does not have is
    null."""
    before = "["
    for (row,) in rows:
        values = json.loads(row or "null", parse_constant=lambda _: None)
        output.write(f"{before}\n{json.dumps(values, ensure_ascii=False)}")
        before = ","
    output.write("[]\n" if before == "[" else "\n]\n")


def _print_table(
    columns: Sequence[str], numbers: Sequence[bool], rows: Sequence[Sequence[str]]
) -> None:
    console = stdout()
    widths = [max(len(text) for text in column) for column in zip(columns, *rows, strict=True)]
    width = sum(widths) + 3 * len(widths) + 1
    if width > console.width:
        _print_below_each_other(console, columns, rows)
        return
    table = Table()
    for name, is_number in zip(columns, numbers, strict=True):
        table.add_column(Text(name), justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _print_below_each_other(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print each column of a row on a line of its own, unshortened."""
    widest = max(map(len, columns))
    rule = "-" if is_ascii(console) else "─"
    for number, row in enumerate(rows, 1):
        console.print(Text(f"{rule * 2} {number} {rule * 2}", "dim"))
        for name, value in zip(columns, row, strict=True):
            console.print(Text(f"{name:{widest}}  {value}"), soft_wrap=True)


def _line(value: str | None) -> str:
    """The text on one line; nothing for null."""
    return "" if value is None else value.replace("\n", " ").replace("\t", " ")


def _rounded(double: re.Match[str]) -> str:
    """The text of a positive double without its meaningless last digits."""
    text = double[0]
    digits = text.partition("e")[0].replace(".", "").lstrip("0")
    if len(digits) <= _DIGITS:
        return text
    is_long = not double[1] and text.index(".") >= _DIGITS
    return f"{float(text):.0f}" if is_long else f"{float(text):.{_DIGITS}g}"
