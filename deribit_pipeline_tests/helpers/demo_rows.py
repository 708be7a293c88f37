"""The rows of a fortnight, as in the demo, made by one statement for each table."""

from datetime import UTC, datetime

from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.option_chains import (
    Market,
    expiry_after,
    insert_rows,
    options_of,
)

NAMES = ("BTC-PERPETUAL", "ETH-PERPETUAL")
OPTIONS = ("BTC-5JAN24-40000-C", "BTC-5JAN24-44000-C")
"""Options that were listed on the 2nd of January and expire on the 5th."""

SNAPSHOTS = [datetime(2024, 1, 14, hour, tzinfo=UTC) for hour in (0, 12)]

_HOURS = (
    "(select timestamptz '2024-01-01 00:00:00+00' + to_hours(i) as hour from range(14 * 24) t(i))"
)
_DAYS = "(select date '2024-01-01' + cast(i as integer) as day from range(14) t(i))"
_PROVED = (
    "'complete', {rows}, {rows}, 0, 'none', 0, '', timestamptz '2024-02-01 00:00:00+00', "
    "'sandbox', 'a test', 'a run', 'none', ''"
)


def hold_fortnight(warehouse: Warehouse) -> None:
    """Insert two weeks of candles, funding, DVOL, settlements and prices, a day of trades and one
    of two snapshots, all complete; and the instruments of BTC and ETH."""
    with warehouse.writing() as connection:
        for statement in (*_candles(), *_datasets(), *_instruments()):
            connection.execute(statement)
        market = Market(price=42_000, strikes=[0.05 * number for number in range(10, 35)])
        for moment in SNAPSHOTS:
            expiries = [expiry_after(SNAPSHOTS[0], days) for days in (14, 45)]
            insert_rows(connection, options_of(market, moment, expiries))
        connection.execute(
            "insert into dataset_days select 'book_summaries', 'BTC', date '2024-01-14', "
            f"{_PROVED.format(rows=len(SNAPSHOTS))}"
        )


def _candles() -> list[str]:
    made = [
        f"""
        insert into candles
        select '{name}', '1', timestamptz '2024-01-01 00:00:00+00' + to_minutes(i),
               price, price + 2, price - 2, price + 1, 1, price
        from (
            select i, {start} + round(100 * sin(i / {period}.0) + sin(i / 7.0)) as price
            from range(14 * 1440) t(i)
        )
        """
        for name, start, period in zip(NAMES, (42_000, 2_300), (900, 700), strict=True)
    ]
    made += [
        f"""
        insert into candle_days
        select '{name}', '1', day, 'complete', 1440, 1440, 0, 0, 'none', 0,
               timestamptz '2024-02-01 00:00:00+00', 'sandbox', 'a test', 'a run', '', 'none', ''
        from {_DAYS}
        """
        for name in NAMES
    ]
    return made + [
        f"""
        insert into candle_arrivals
        select '{name}', '1', day, day, day + interval 1439 minute,
               timestamptz '2024-02-01 00:00:00+00', 'a run'
        from {_DAYS}
        """
        for name in NAMES
    ]


def _datasets() -> list[str]:
    rows = [
        f"insert into funding_rates select name, hour, 1e-5, 8e-5, 42000, 42000 from {_HOURS}, "
        f"(select unnest({list(NAMES)}) as name)",
        f"insert into volatility_index select 'BTC', '3600', hour, 60, 62, 59, 61 from {_HOURS}",
        "insert into settlements by name select 'BTC' as currency, "
        "day + interval 8 hour as settled_at, name as instrument_name, 'settlement' as type, "
        "1e6 as position, 42000 as mark_price, 42001 as index_price "
        f"from {_DAYS}, (select unnest(['BTC-PERPETUAL', 'BTC-29MAR24']) as name)",
        f"insert into delivery_prices select 'btc_usd', day, 42000 from {_DAYS}",
        "insert into trades by name select 'BTC-PERPETUAL' as instrument_name, "
        "row_number() over (order by hour) as trade_seq, 'x' as trade_id, hour as traded_at, "
        "'buy' as direction, 0 as tick_direction, 42000 as price, 10 as amount "
        f"from {_HOURS} where hour < timestamptz '2024-01-02 00:00:00+00'",
    ]
    days = [
        ("funding_rates", "BTC-PERPETUAL", 24, 14),
        ("funding_rates", "ETH-PERPETUAL", 24, 14),
        ("volatility_index", "BTC", 24, 14),
        ("settlements", "BTC", 2, 14),
        ("delivery_prices", "btc_usd", 1, 14),
        ("trades", "BTC-PERPETUAL", 24, 1),
    ]
    return rows + [
        f"insert into dataset_days select '{dataset}', '{series}', day, "
        f"{_PROVED.format(rows=count)} from {_DAYS} order by day limit {most}"
        for dataset, series, count, most in days
    ]


def _instruments() -> list[str]:
    future, option = "'future', null", "'option', timestamptz '2024-01-05 08:00:00+00'"
    listed = [(name, "2018-08-14", future) for name in NAMES]
    listed += [(name, "2024-01-02", option) for name in OPTIONS]
    made = [
        f"""
        insert into instruments by name
        select instrument_name, kind, listed_at, expires_at,
               split_part(instrument_name, '-', 1) as base_currency, 'USD' as quote_currency,
               base_currency as settlement_currency,
               if(kind = 'future', 'perpetual', 'week') as settlement_period,
               10 as contract_size, 0.5 as tick_size, '[]' as tick_size_steps,
               10 as min_trade_amount, listed_at as valid_from,
               timestamptz '2024-02-01 00:00:00+00' as first_seen_at,
               timestamptz '2024-02-01 00:00:00+00' as last_seen_at, '' as run_id
        from (values ('{name}', {terms}, timestamptz '{since} 00:00:00+00'))
             as listed(instrument_name, kind, expires_at, listed_at)
        """
        for name, since, terms in listed
    ]
    return made + [
        f"insert into instrument_lists values ('{currency}', timestamptz '2024-02-01 00:00:00+00')"
        for currency in ("BTC", "ETH", "USDC", "USDT", "EURR")
    ]
