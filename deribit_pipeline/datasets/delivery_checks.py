"""Compare settlements, delivery prices and index prices with each other.

At 08:00 UTC expiring instruments are delivered at the average of their index over half an hour, and
their settlements contain that price. All other settlements at that time have an index price close
to it (assumption:prices-delivered). The three datasets read from each other's tables what is
stored of a day, and compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from deribit_pipeline.datasets.delivery_prices.table import TABLE as DELIVERY_PRICES
from deribit_pipeline.datasets.registry import index_of
from deribit_pipeline.datasets.settlements.table import TABLE as SETTLEMENTS
from deribit_pipeline.domain.proofs import CrossCheck, FetchedDay
from deribit_pipeline.domain.rows import some_of
from deribit_pipeline.domain.specification import INDEX_OF
from deribit_pipeline.domain.windows import day_window, moment64
from deribit_pipeline.warehouse.connections import has_table
from deribit_pipeline.warehouse.place import Connection

AT_DELIVERY = ("delivery", "exercise")
"""The types of settlements that contain the delivery price itself."""

NEAR = 0.1
"""How far an index price may be from its average over half an hour, as a fraction: on five recorded
days it was 0.001, and other indexes are further away."""

_AVERAGED = timedelta(hours=7, minutes=30), timedelta(hours=8)


def delivery_prices(
    connection: Connection, first: date, last: date
) -> dict[date, dict[str, float]]:
    """The delivery prices of days from first to last (both included), by day and index."""
    found: dict[date, dict[str, float]] = {}
    if has_table(connection, DELIVERY_PRICES.name):
        rows = connection.execute(
            "select delivery_date, index_name, delivery_price from delivery_prices "
            "where delivery_date between ? and ?",
            [first, last],
        ).fetchall()
        for day, index, price in rows:
            found.setdefault(day, {})[index] = price
    return found


def settled_at(
    connection: Connection, index_name: str, first: date, last: date
) -> dict[date, list[float]]:
    """The index prices in settlements of expired instruments, by day, without duplicates."""
    if not has_table(connection, SETTLEMENTS.name):
        return {}
    rows = connection.execute(
        f"""
        select cast(timezone('UTC', settled_at) as date) as day, list(distinct index_price)
        from settlements
        where type in ('delivery', 'exercise') and index_price is not null
          and {INDEX_OF} = $index_name
          and cast(timezone('UTC', settled_at) as date) between $first and $last
        group by day
        """,
        {"index_name": index_name, "first": first, "last": last},
    ).fetchall()
    return {day: sorted(prices) for day, prices in rows}


def settlements_checked(fetched: FetchedDay, delivered: Mapping[str, float]) -> FetchedDay:
    """A day of settlements, compared with the delivery prices of its indexes, by name."""
    if not delivered:
        return fetched
    rows, compared, wrong = fetched.rows, 0, list[str]()
    columns = (rows["instrument_name"], rows["type"], rows["index_price"])
    for name, kind, index in zip(*(column.tolist() for column in columns), strict=True):
        price = None if name.startswith("#") else delivered.get(index_of(name))
        if price is None or np.isnan(index):
            continue
        compared += 1
        if not (index == price if kind in AT_DELIVERY else _is_near(index, price, price)):
            wrong.append(f"index_price {index!r} of {name}, where the delivery price is {price!r}")
    return _checked(fetched, compared, wrong)


def delivery_checked(fetched: FetchedDay, settled: Sequence[float]) -> FetchedDay:
    """A day's delivery price, compared with those in settlements of expired instruments."""
    prices = fetched.rows["delivery_price"].tolist()
    wrong = [
        f"delivery_price {price!r}, where what expired settled at {other!r}"
        for price in prices
        for other in settled
        if other != price
    ]
    return _checked(fetched, len(prices) and len(settled), wrong)


def index_checked(fetched: FetchedDay, delivered: float | None) -> FetchedDay:
    """A day of an index, compared with its delivery price, which is its average before 08:00."""
    start, end = (moment64(day_window(fetched.day).start + after) for after in _AVERAGED)
    moments = fetched.rows["priced_at"]
    prices = some_of(fetched.rows, (moments >= start) & (moments < end))["price"]
    if delivered is None or not len(prices):
        return fetched
    least, most = float(prices.min()), float(prices.max())
    wrong = []
    if not _is_near(delivered, least, most):
        wrong = [
            f"prices of {least!r} to {most!r} before 08:00, and the delivery price {delivered!r}"
        ]
    return _checked(fetched, len(prices), wrong)


def _is_near(price: float, least: float, most: float) -> bool:
    return least * (1 - NEAR) <= price <= most * (1 + NEAR)


def _checked(fetched: FetchedDay, compared: int, wrong: Sequence[str]) -> FetchedDay:
    if not compared:
        return fetched
    if not wrong:
        return replace(fetched, cross_check=CrossCheck.AGREES)
    finding = wrong[0] + (f" ({len(wrong)} of {compared} disagree)" if len(wrong) > 1 else "")
    verdict = f"{fetched.verdict}; {finding}" if fetched.verdict else finding
    return replace(fetched, cross_check=CrossCheck.DISAGREES, verdict=verdict)
