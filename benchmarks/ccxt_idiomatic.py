"""The usual way to write it with ccxt: `fetch_ohlcv` in a loop, an upsert by primary key.

Arguments: API root, DuckDB file, instruments, first and last day, resolution. Nothing is verified.
"""

import sys
from datetime import UTC, datetime, timedelta

import ccxt
import duckdb
import pandas as pd

root, path, names, first, last, resolution = sys.argv[1:]
TIMEFRAME = {"1": "1m", "60": "1h", "1D": "1d"}[resolution]
STEP, PAGE = 60_000 * (1_440 if resolution == "1D" else int(resolution)), 5_000

exchange = ccxt.deribit({"urls": {"api": {"rest": root.removesuffix("/api/v2")}}})
exchange.set_markets(
    [
        exchange.safe_market_structure(
            {"id": name, "symbol": name, "base": "BTC", "quote": "USD", "type": "swap"}
        )
        for name in names.split(",")
    ]
)
start = int(datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp() * 1000)
end = datetime.fromisoformat(last).replace(tzinfo=UTC) + timedelta(days=1)
until = int(end.timestamp() * 1000)

connection = duckdb.connect(path)
connection.execute(
    "create table candles (instrument varchar, ts bigint, open double, high double, low double, "
    "close double, volume double, primary key (instrument, ts))"
)
requests = candles = 0
for name in names.split(","):
    since = start
    while since < until:
        rows = exchange.fetch_ohlcv(name, TIMEFRAME, since, PAGE)
        rows = [row for row in rows if since <= row[0] < until]
        requests += 1
        if not rows:
            since += PAGE * STEP
            continue
        frame = pd.DataFrame(rows, columns=["ts", "open", "high", "low", "close", "volume"])
        connection.execute(f"insert or replace into candles select '{name}', * from frame")
        candles += len(rows)
        since = rows[-1][0] + STEP
connection.close()
print(f"{requests} chart requests, {candles} candles")
