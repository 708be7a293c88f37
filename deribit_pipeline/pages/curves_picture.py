"""A picture of curves over a logarithmic axis, such as smiles by strike, for the metadata of a
run."""

import math
from collections.abc import Iterator, Sequence

from deribit_pipeline.engine.previews import Curves
from deribit_pipeline.pages import svg
from deribit_pipeline.pages.svg import DOWN, GRID, LEFT, UP, WIDTH, label

_HEAD, _PLOT, _AXIS, _LEGEND = 26, 170, 22, 24  # pixels
_FLOOR = _HEAD + _PLOT
_MOST_LABELS = 6


def curves_url(curves: Sequence[Curves]) -> str:
    """The pictures, one below the other, as a data URI."""
    return svg.data_url([_drawn(each) for each in curves], _FLOOR + _AXIS + _LEGEND)


def _drawn(one: Curves) -> Iterator[str]:
    yield svg.title(one.title)
    points = [point for points in one.curves.values() for point in points]
    if not points:
        return
    start, end = (math.log(limit(x for x, _ in points)) for limit in (min, max))
    lowest, highest = (limit(y for _, y in points) for limit in (min, max))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (math.log(x) - start) / ((end - start) or 1.0) * WIDTH,
            _HEAD + (highest - y) / ((highest - lowest) or 1.0) * _PLOT,
        )

    yield from svg.value_axis(lowest, highest, _HEAD, _PLOT)
    for number in range(_MOST_LABELS):
        x = math.exp(start + (end - start) * number / (_MOST_LABELS - 1))
        at, _ = place(x, highest)
        yield f'<path stroke="{GRID}" d="M{at:.1f} {_HEAD}V{_FLOOR}"/>'
        anchor = "end" if number == _MOST_LABELS - 1 else "middle"
        yield label(at, _FLOOR + 14, f"{x:,.4g}" if x < 1_000 else f"{x:,.0f}", anchor)
    for number, curve in enumerate(one.curves.values()):
        drawn = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in curve)
        yield f'<path fill="none" stroke="{_colour(number, len(one.curves))}" d="M{drawn}"/>'
    first, last = (list(one.curves)[place] for place in (0, -1))
    yield f'<text x="{LEFT}" y="{_FLOOR + _AXIS + 14}" font-size="11" fill="{DOWN}">{first}</text>'
    if last != first:
        yield (
            f'<text x="{LEFT + 80}" y="{_FLOOR + _AXIS + 14}" font-size="11" fill="{UP}">'
            f"to {last}</text>"
        )


def _colour(number: int, count: int) -> str:
    """Between the two colours of the first and the last curve."""
    share = number / (count - 1) if count > 1 else 0.0
    ends = [[int(each[at : at + 2], 16) for at in (1, 3, 5)] for each in (DOWN, UP)]
    mixed = (round(a + (b - a) * share) for a, b in zip(*ends, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)
