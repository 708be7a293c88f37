"""Delivery prices of one index, newest first."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.windows import day_window, to_ms
from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.entries import Rows, readable

MOST_DELIVERY_PRICES = 1_000
"""The maximum number of delivery prices in a response (assumption:pages-most)."""

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, eq=False)
class DeliveryPage:
    """The delivery prices of one response, newest first; some of its `entries` may be malformed.
    `records_total` is the exchange's total number of prices."""

    rows: Rows
    records_total: int
    entries: int
    malformed: tuple[Malformed, ...] = ()


def delivery_prices(answer: object) -> DeliveryPage:
    """The page of `public/get_delivery_prices`."""
    fields = shapes.mapping(answer)
    entries = shapes.array(fields.get("data"))
    rows, malformed = readable(entries, _deliveries, _delivered_ms)
    (total,) = shapes.numbers("records_total", [fields.get("records_total")])
    if total < 0 or total != int(total):
        raise ValueError(f"`records_total` must be a count, was {total}")
    by_day = tuple(each.on_grid(_DAY_MS) for each in malformed)
    return DeliveryPage(rows, int(total), len(entries), by_day)


def _deliveries(entries: Sequence[Any]) -> Rows:
    found: list[Mapping[str, Any]] = [shapes.mapping(entry) for entry in entries]
    days = [_day(entry.get("date")) for entry in found]
    prices = [entry.get("delivery_price") for entry in found]
    return {
        "delivery_date": np.array(days, "datetime64[D]"),
        "delivery_price": shapes.numbers("delivery_price", prices),
    }


def _delivered_ms(entry: Any) -> int:
    return to_ms(day_window(_day(shapes.mapping(entry).get("date"))).start)


def _day(text: object) -> date:
    """A date as the exchange writes it: `2026-09-20`."""
    try:
        day = date.fromisoformat(shapes.text("date", text))
    except ValueError:
        day = None
    if day is None or str(day) != text:
        raise ValueError(f"`date` must be a date, was {reprlib.repr(text)}")
    return day
