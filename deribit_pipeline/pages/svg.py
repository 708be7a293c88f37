"""Parts of hand-written SVG pictures for the metadata of a run.

Importing a plotting library would take a second, and its output a hundred times the space in the
event log.
"""

import base64
import math
from collections.abc import Iterator, Sequence

# The plot is right of the values of its axis; in pixels.
LEFT, WIDTH, RIGHT = 72, 568, 10

# Distinguishable on a light and on a dark page, and with red-green colour blindness.
UP, DOWN, TEXT, GRID = "#1f9e89", "#d95f02", "#808080", "#80808040"

_MOST_VALUES = 8


def data_url(drawings: Sequence[Iterator[str]], height: int) -> str:
    """The drawings, each `height` high, one below the other, as a data URI."""
    width, total = LEFT + WIDTH + RIGHT, height * len(drawings)
    drawn = "".join(
        f'<g transform="translate(0 {number * height})">{"".join(parts)}</g>'
        for number, parts in enumerate(drawings)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" '
        f'viewBox="0 0 {width} {total}" font-family="sans-serif" font-size="12" fill="{TEXT}">'
        f"{drawn}</svg>"
    )
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def title(text: str) -> str:
    """The line above a drawing."""
    return f'<text x="0" y="14">{text}</text>'


def label(x: float, y: float, text: str, anchor: str) -> str:
    """A small text, anchored at its start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}">{text}</text>'


def value_axis(lowest: float, highest: float, top: float, height: float) -> Iterator[str]:
    """Round values between two, as lines across a plot that begins at `top`."""
    scale = height / ((highest - lowest) or 1.0)
    step = _round_step((highest - lowest) / (_MOST_VALUES - 1) or 1.0)
    decimals = max(0, -math.floor(math.log10(step)))
    for number in range(math.ceil(lowest / step), math.floor(highest / step) + 1):
        y = top + (highest - number * step) * scale
        yield f'<path stroke="{GRID}" d="M{LEFT} {y:.1f}H{LEFT + WIDTH}"/>'
        yield label(LEFT - 6, y + 4, f"{number * step:,.{decimals}f}", "end")


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, … (or 0.1, 0.2, …) that is at least this long."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)
