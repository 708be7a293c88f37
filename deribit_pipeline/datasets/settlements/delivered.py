"""Stored delivery prices, for comparisons between the two tables that contain them."""

from datetime import date

from deribit_pipeline.datasets.delivery_prices.table import TABLE as DELIVERY_PRICES
from deribit_pipeline.datasets.settlements.table import TABLE as SETTLEMENTS
from deribit_pipeline.domain.specification import INDEX_OF
from deribit_pipeline.warehouse.connections import has_table
from deribit_pipeline.warehouse.place import Connection


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
