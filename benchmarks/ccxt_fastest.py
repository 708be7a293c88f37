"""The fastest fetch that can be written with ccxt: the implicit endpoint, asynchronous, numpy, the
full burst, no key.

Arguments: API root, DuckDB file, instruments, first and last day, resolution. Nothing is verified.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

import ccxt.async_support as ccxt
import duckdb
import numpy as np

root, path, names, first, last, resolution = sys.argv[1:]
STEP = 60_000 * (1_440 if resolution == "1D" else int(resolution))
PAGE = 5_000
BURST, PER_SECOND, IN_FLIGHT = 97, 20, 16
NAMES = ("ticks", "open", "high", "low", "close", "volume", "cost")


async def main() -> None:
    exchange = ccxt.deribit(
        {"urls": {"api": {"rest": root.removesuffix("/api/v2")}}, "enableRateLimit": False}
    )
    start = int(datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp() * 1000)
    end = datetime.fromisoformat(last).replace(tzinfo=UTC) + timedelta(days=1)
    until = int(end.timestamp() * 1000)
    plan = iter([(n, s) for n in names.split(",") for s in range(start, until, PAGE * STEP)])
    pages: asyncio.Queue = asyncio.Queue(64)
    began, sent = time.monotonic(), 0

    async def worker() -> None:
        nonlocal sent
        for name, since in plan:
            sent += 1
            wait = began + max(0, sent - BURST) / PER_SECOND - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            answer = await exchange.public_get_get_tradingview_chart_data(
                {
                    "instrument_name": name,
                    "start_timestamp": since,
                    "end_timestamp": min(since + PAGE * STEP, until) - 1,
                    "resolution": resolution,
                }
            )
            chart = answer["result"]
            await pages.put((name, {key: np.array(chart[key], float) for key in NAMES}))

    async def writer() -> int:
        connection, candles = duckdb.connect(path), 0
        connection.execute(
            "create table candles (instrument varchar, ticks bigint, open double, high double, "
            "low double, close double, volume double, cost double)"
        )
        while (page := await pages.get()) is not None:
            name, columns = page
            candles += len(columns["ticks"])
            connection.register("incoming", columns)
            statement = f"insert into candles select '{name}', * from incoming"
            await asyncio.to_thread(connection.execute, statement)
        connection.close()
        return candles

    writing = asyncio.create_task(writer())
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    await pages.put(None)
    candles = await writing
    await exchange.close()
    print(f"{sent} chart requests, {candles} candles")


asyncio.run(main())
