"""Parses the exchange's lists of instruments, with their specifications."""

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deribit_pipeline.domain.specification import CURRENCY, INSTRUMENT_NAME, KINDS, Specification
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.exchange import shapes

INSTRUMENTS = "public/get_instruments"
CURRENCIES = "public/get_currencies"

ANY_CURRENCY = "any"
"""The parameter value for all currencies at once (assumption:instruments-any)."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The instruments of one list. `malformed` describes each malformed entry."""

    specifications: tuple[Specification, ...]
    malformed: tuple[str, ...] = ()


def currencies(answer: object) -> list[str]:
    """The currencies of `public/get_currencies`, without malformed entries."""
    names = [entry.get("currency") for entry in shapes.array(answer) if isinstance(entry, Mapping)]
    return [name for name in names if isinstance(name, str) and CURRENCY.fullmatch(name)]


def index_price_names(answer: object) -> list[str]:
    """The names of `public/get_index_price_names`."""
    return [shapes.text("name", name) for name in shapes.array(answer)]


def listed(answer: object) -> Listed:
    """The entries of `public/get_instruments`.

    Each names its instrument and is independent of the others: a malformed entry does not affect
    them.
    """
    specifications, malformed = [], []
    for entry in shapes.array(answer):
        try:
            specifications.append(specification(entry))
        except ValueError as error:
            name = entry.get("instrument_name") if isinstance(entry, Mapping) else entry
            malformed.append(f"{reprlib.repr(name)}: {error}")
    return Listed(tuple(specifications), tuple(malformed))


def specification(answer: object) -> Specification:
    """The specification of an entry. Raises ValueError.

    Fields that are always present according to the documentation are required: names, kind, base
    currency, times, amounts (assumption:instruments-readable). The others are None if absent, as
    for some kinds and old instruments; an absent quote currency follows from the name.
    """
    fields = shapes.mapping(answer)
    listed_at, expires_at = (
        shapes.milliseconds(name, fields.get(name))
        for name in ("creation_timestamp", "expiration_timestamp")
    )
    if not listed_at < min(expires_at, shapes.NEVER):
        raise ValueError(
            f"an instrument must expire after it is created, was {listed_at}, {expires_at}"
        )
    return Specification(
        instrument_name=_name(fields),
        instrument_id=_whole(fields, "instrument_id"),
        kind=_kind(fields),
        instrument_type=_text(fields, "instrument_type"),
        base_currency=shapes.text("base_currency", fields.get("base_currency")),
        quote_currency=_text(fields, "quote_currency") or _quote_currency(fields),
        counter_currency=_text(fields, "counter_currency"),
        settlement_currency=_text(fields, "settlement_currency"),
        settlement_period=_text(fields, "settlement_period"),
        listed_at=from_ms(listed_at),
        expires_at=from_ms(expires_at) if expires_at < shapes.NEVER else None,
        strike=_number(fields, "strike"),
        option_type=_text(fields, "option_type"),
        price_index=_text(fields, "price_index"),
        contract_size=_positive(fields, "contract_size"),
        tick_size=_positive(fields, "tick_size"),
        tick_size_steps=_steps(fields.get("tick_size_steps")),
        min_trade_amount=_positive(fields, "min_trade_amount"),
        maker_commission=_number(fields, "maker_commission"),
        taker_commission=_number(fields, "taker_commission"),
        max_leverage=_number(fields, "max_leverage"),
    )


def _name(fields: Mapping[str, Any]) -> str:
    name = shapes.text("instrument_name", fields.get("instrument_name"))
    if not INSTRUMENT_NAME.fullmatch(name):
        raise ValueError("`instrument_name` must be letters, digits, '-' and '_'")
    return name


def _kind(fields: Mapping[str, Any]) -> str:
    kind = shapes.text("kind", fields.get("kind"))
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, was {reprlib.repr(kind)}")
    return kind


def _quote_currency(fields: Mapping[str, Any]) -> str:
    """The quote currency of an entry without one: `USDC` for `SOL_USDC-…`; for inverse instruments,
    USD for futures and the coin itself for options."""
    base, _, quote = _name(fields).partition("-")[0].partition("_")
    return quote or (base if _kind(fields).startswith("option") else "USD")


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return None if value in (None, "") else shapes.text(name, value)


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    return None if value is None else _double(name, value)


def _whole(fields: Mapping[str, Any], name: str) -> int | None:
    number = _number(fields, name)
    if number is None:
        return None
    if number != int(number) or not 0 <= number < 2**53:
        raise ValueError(f"`{name}` must be a whole number, was {number!r}")
    return int(number)


def _positive(fields: Mapping[str, Any], name: str) -> float:
    number = _double(name, fields.get(name))
    if number <= 0:
        raise ValueError(f"`{name}` must be above 0, was {number!r}")
    return number


def _double(name: str, value: object) -> float:
    # A JSON true is an int in Python, and a JSON integer may exceed the range of doubles.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{name}` must be a number, was {reprlib.repr(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"`{name}` must be finite")
    return number + 0.0


def _steps(value: object) -> str:
    """Prices and the tick sizes above them, by price; none where the list is absent."""
    steps = [
        {name: _positive(shapes.mapping(step), name) for name in ("above_price", "tick_size")}
        for step in shapes.array([] if value is None else value)
    ]
    return json.dumps(sorted(steps, key=lambda step: step["above_price"]))
