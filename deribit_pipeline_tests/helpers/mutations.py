"""Randomly corrupted responses, and laws tested with a few examples or with thousands."""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def examples(quick: int, tortured: int) -> pytest.MarkDecorator:
    """Runs a test twice: always with a few examples, and with many under `make torture`."""
    return pytest.mark.parametrize(
        "count",
        [
            pytest.param(quick, id="quick"),
            pytest.param(tortured, id="tortured", marks=pytest.mark.torture),
        ],
    )


def each_of_both(
    names: str,
    ones: Sequence[object],
    others: Sequence[object],
    ids: Callable[[Any], str | None] | None = None,
) -> pytest.MarkDecorator:
    """Runs a test with each value of both at least once, and with every pair of them under
    `make torture`."""
    always = {(n % len(ones), n % len(others)) for n in range(max(len(ones), len(others)))}
    pairs = [
        pytest.param(one, other, marks=() if (i, j) in always else pytest.mark.torture)
        for (i, one), (j, other) in itertools.product(enumerate(ones), enumerate(others))
    ]
    return pytest.mark.parametrize(names, pairs, ids=ids)


def hold(law: Callable[..., None], count: int, *drawn: st.SearchStrategy[Any]) -> None:
    """Test a law with `count` drawn examples."""
    settings(max_examples=count)(given(*drawn)(law))()


# JSON values that are difficult for a double, a parser or a calendar.
NUMBERS = (
    "0", "-0", "-0.0", "1", "-1", "0.5", "1e400", "-1e400", "1e308", "5e-324", "2.2e3", "1.7e12",
    "9007199254740993", "9223372036854775808", "18446744073709551616", "1" + "0" * 400,
    "1704067200000", "32503680000000", "32503679999999", "65007360000000", "253402300800000",
    "NaN", "Infinity",
)  # fmt: skip
TEXTS = (
    "",
    "ok",
    "no_data",
    "true",
    "1",
    "null",
    "\x00",
    "é",
    "\u2028",
    "a\nb",
    "[/]",
    "x" * 5_000,
)

numbers = st.sampled_from(NUMBERS).map(lambda text: f"@raw:{text}@")
anything = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.sampled_from(TEXTS),
    st.text(max_size=3),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(("[]", "{}", "[[]]", "[null]", "[1.0]", '{"code": 1}')).map(json.loads),
)
KEYS = ("result", "error", "code", "testnet", "usIn", "usOut", "status", "ticks", "close", "")


def written(value: Any) -> str:
    """The value as JSON; marked numbers are written verbatim, marked keys are repeated."""
    text = json.dumps(value).replace("@again", "")
    return re.sub('"@raw:([^"@]*)@"', r"\1", text)


@st.composite
def corrupted(draw: st.DrawFn, whole: Any, most: int = 3) -> str:
    """A JSON text with up to `most` mutations."""
    value = json.loads(json.dumps(whole))
    for _ in range(min(most, draw(st.sampled_from((0, 1, 1, 1, 2, 3))))):
        value = _corrupted_once(draw, value)
    return written(value)


def _corrupted_once(draw: st.DrawFn, value: Any) -> Any:
    places = list(_places(value))
    if not places:
        return draw(anything)
    holder, key = draw(st.sampled_from(places))
    is_object = isinstance(holder, dict)
    ways = ("number", "number", "replace", "drop", "again", "rename", "nest", "swap")
    match draw(st.sampled_from(ways)):
        case "number" if isinstance(holder[key], int | float):
            holder[key] = draw(numbers | st.integers(0) | st.floats(0.0, allow_infinity=False))
        case "drop":
            del holder[key]
        case "again" if is_object:
            holder[f"{key}@again"] = draw(anything)
        case "again":
            holder.insert(key, holder[key])
        case "rename" if is_object:
            holder[draw(st.sampled_from(KEYS))] = holder.pop(key)
        case "nest":
            holder[key] = [holder[key]]
        case "swap":
            other_holder, other = draw(st.sampled_from(places))
            ours, theirs = json.dumps(holder[key]), json.dumps(other_holder[other])
            holder[key], other_holder[other] = json.loads(theirs), json.loads(ours)
        case _:
            holder[key] = draw(anything)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """A place in a document: the object or array, and the key or index in it."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """A body with bytes cut off, changed, removed or added."""
    body = draw(texts).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        at = draw(st.integers(0, len(body)))
        junk = draw(st.binary(max_size=4))
        end = at + draw(st.sampled_from((0, 1, 1, 7, len(body))))
        body = body[:at] + junk + body[end:]
    return body
