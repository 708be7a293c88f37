"""The page around every visualization: colours for light and dark, legend, and the embedded
library.

Vega renders, from specifications that Altair validates; vl-convert contains Vega's code, so that a
page needs no other host. What is rendered is defined in the other modules.
"""

import csv
import functools
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import vl_convert

from deribit_pipeline.domain.proofs import FAILED, DayState

Specification = dict[str, Any]
"""A view as a Vega-Lite specification, as Altair's `to_dict` returns it."""

# The Okabe-Ito palette, which is distinguishable with colour blindness.
LIGHT = {
    "background": "#ffffff",
    "text": "#1f2328",
    "muted": "#59636e",
    "line": "#d1d9e0",
    "track": "#eef1f4",
    "complete": "#009e73",
    "open": "#56b4e9",
    "gapped": "#e08a00",
    "not_listed": "#8c959f",
    "not_proved": "#cc79a7",
    "rising": "#0072b2",
    "falling": "#d55e00",
}
DARK = LIGHT | {
    "background": "#0d1117",
    "text": "#e6edf3",
    "muted": "#9198a1",
    "line": "#30363d",
    "track": "#1b2129",
    "complete": "#12a67c",
    "gapped": "#f0a81e",
    "not_listed": "#768390",
    "rising": "#56b4e9",
    "falling": "#e8743b",
}
HEIGHTS: dict[str, float] = {
    DayState.COMPLETE: 0.72,
    DayState.OPEN: 0.36,
    DayState.GAPPED: 1.0,
    DayState.NOT_LISTED: 0.12,
    FAILED: 0.54,
}
"""The fraction of its row's height that a day takes: states differ without colours too."""

UNREQUESTED = "never requested"


@dataclass(frozen=True, slots=True)
class Swatch:
    """An entry of the legend: text, a colour by name, its height and opacity, both 0 to 1."""

    words: str
    colour: str
    height: float
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class View:
    """A view, optionally with a title and a summary line above it. `specification` makes it when
    it is written.

    `rows` names each row of a calendar, by which the page filters them. `is_closed` views are drawn
    when they are opened.
    """

    specification: Callable[[], Specification]
    title: str = ""
    note: str = ""
    rows: Sequence[str] = ()
    is_closed: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """A table of text columns, left, and numeric columns, right; with one row or more."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | float]]


def page(
    title: str,
    introduction: Sequence[str],
    legend: Sequence[Swatch],
    views: Sequence[View],
    totals: Totals | None = None,
) -> str:
    """The whole page. All arguments are plain text, and appear unchanged in the page."""
    return "".join(page_parts(title, introduction, legend, views, totals))


def page_parts(
    title: str,
    introduction: Sequence[str],
    legend: Sequence[Swatch],
    views: Sequence[View],
    totals: Totals | None = None,
) -> Iterator[str]:
    """The same in parts, of which each has one view at most."""
    return _template().generate(
        title=title,
        introduction=introduction,
        legend=legend,
        views=views,
        totals=totals,
        themes={"light": _theme(LIGHT), "dark": _theme(DARK)},
        rows=[view.rows for view in views],
        library=_library(),
        light_colours=_variables(LIGHT),
        dark_colours=_variables(DARK),
    )


def csv_data(header: Sequence[str], rows: Iterable[Sequence[object]]) -> alt.InlineData:
    """Rows for a view in column form, a third the size of rows that repeat every name. The first
    row determines whether a column is numeric."""
    rows = list(rows)
    numbers = [
        n for n, value in zip(header, rows[0], strict=True) if isinstance(value, (int, float))
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return alt.InlineData(
        values=text.getvalue(),
        format=alt.CsvDataFormat(type="csv", parse=dict.fromkeys(numbers, "number")),
    )


def words(state: str) -> str:
    """A state as display text."""
    return state.replace("_", " ")


def state_colour() -> alt.Color:
    """The colour of a row's `state`, which depends on the theme."""
    return alt.Color("state:N", scale=alt.Scale(domain=[*DayState, FAILED]), legend=None)


def _theme(colours: dict[str, str]) -> dict[str, Any]:
    """Vega's configuration for these colours."""
    font = 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif'
    return {
        "background": colours["background"],
        "font": font,
        "view": {"stroke": None},
        "range": {"category": [colours[state] for state in (*DayState, FAILED)]},
        "axis": {
            "labelColor": colours["muted"],
            "titleColor": colours["muted"],
            "titleFontWeight": "normal",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "gridColor": colours["line"],
            "tickColor": colours["line"],
            "domainColor": colours["line"],
        },
        # Specifications refer to these colours by name, in expressions.
        "params": [{"name": name, "value": colour} for name, colour in colours.items()],
    }


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


@functools.cache
def _template() -> jinja2.Template:
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    made = jinja2.Environment(
        loader=folder,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return made.get_template("page.html")


@functools.cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, in the version that Altair writes for."""
    version = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
    script = str(vl_convert.javascript_bundle(vl_version=version))  # type: ignore[call-arg]
    return re.sub("</(?=script)", r"<\\/", script, flags=re.IGNORECASE)
