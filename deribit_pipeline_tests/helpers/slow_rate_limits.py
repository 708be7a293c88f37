"""Rate limits so slow that a test can count calls by their waits, whatever the clock does."""

import asyncio

from deribit_pipeline.exchange.rate_limiter import RateLimiter, TokenBucket

# A test cannot stop the clock of a database: compared with a quarter of an hour between two
# calls, the seconds of a test are negligible.
APART = 1_000.0


def pool_of(bucket: TokenBucket) -> RateLimiter:
    return RateLimiter(bucket, per_second=1 / APART, burst=100)


def waits(*pools: RateLimiter, calls: int) -> list[float]:
    """The wait of each call, in turn by these pools, in units of calls, rounded to a tenth."""

    async def taken() -> list[float]:
        return [await pools[n % len(pools)].acquire() for n in range(calls)]

    return [round(wait / APART, 1) for wait in asyncio.run(taken())]
