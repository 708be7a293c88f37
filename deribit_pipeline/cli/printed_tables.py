"""Tables on a terminal of any width: no name, number or date is ever cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

Row = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Column:
    """A column; numbers are aligned to the right.

    One that `may_fold` is left out if it has zeros only, and on a narrow terminal those with the
    smallest totals are folded into one column of words, such as `2 gapped`. One that `may_go` is
    left out, and named below the table, if that is not enough.
    """

    heading: str
    is_number: bool = True
    may_fold: bool = False
    may_go: bool = False


@dataclass(frozen=True, slots=True)
class _Layout:
    """The numbers of the columns that are shown, of those folded into one, and of those left out;
    and whether there are lines between columns."""

    shown: Sequence[int]
    folded: Sequence[int] = ()
    gone: Sequence[int] = ()
    has_lines: bool = True


def print_table(
    console: Console, title: str, columns: Sequence[Column], rows: Sequence[Row]
) -> None:
    """Print the rows in the first layout that fits, and nothing if there are none. The terminal
    wraps a table for which even the narrowest one is too wide."""
    if not rows:
        return
    for layout in _layouts(columns, rows):
        headings = [columns[n].heading for n in layout.shown] + ["others"] * bool(layout.folded)
        cells = [_cells(row, columns, layout) for row in rows]
        widths = [max(map(len, texts)) for texts in zip(headings, *cells, strict=True)]
        between = 3 * len(widths) + 1 if layout.has_lines else 2 * (len(widths) - 1)
        if sum(widths) + between <= console.width:
            break
    table = Table(title=title, title_justify="left")
    if not layout.has_lines:
        table.box, table.pad_edge, table.padding = None, False, (0, 2, 0, 0)
    for n, (heading, least) in enumerate(zip(headings, widths, strict=True)):
        is_number = n < len(layout.shown) and columns[layout.shown[n]].is_number
        table.add_column(
            heading, justify="right" if is_number else "left", no_wrap=True, min_width=least
        )
    for texts in cells:
        table.add_row(*texts)
    width = console.width
    console.width = max(width, sum(widths) + between)  # the library would cut what is wider
    console.print(table, crop=False)
    console.width = width
    if layout.gone:
        names = ", ".join(columns[n].heading for n in layout.gone)
        console.print(f"Not shown at this width: {names}.", soft_wrap=True)


def _layouts(columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[_Layout]:
    """Layouts for ever narrower terminals."""
    totals = [
        sum(cell for cell in column if isinstance(cell, int)) for column in zip(*rows, strict=True)
    ]
    shown = [n for n, column in enumerate(columns) if totals[n] or not column.may_fold]
    yield _Layout(shown)
    rare = sorted((n for n in shown if columns[n].may_fold), key=lambda n: totals[n])
    folded: list[int] = []
    for count in range(2, len(rare) + 1):  # a single one is no narrower in words
        folded = sorted(rare[:count])
        yield _Layout([n for n in shown if n not in folded], folded)
    shown = [n for n in shown if n not in folded]
    optional = [n for n in shown if columns[n].may_go]
    for count in range(1, len(optional) + 1):
        gone = optional[-count:]
        yield _Layout([n for n in shown if n not in gone], folded, gone)
    yield _Layout([n for n in shown if n not in optional], folded, optional, has_lines=False)


def _cells(row: Row, columns: Sequence[Column], layout: _Layout) -> list[str]:
    texts = [_text(row[n]) for n in layout.shown]
    if layout.folded:
        words = [f"{_text(row[n])} {columns[n].heading}" for n in layout.folded if row[n]]
        texts.append(", ".join(words))
    return texts


def _text(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else value
