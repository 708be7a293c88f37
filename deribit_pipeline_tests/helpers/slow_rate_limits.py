"""Rate limits so slow that a test can count calls by their waits, whatever the clock does."""

import asyncio

from deribit_pipeline.exchange.rate_limiter import RateLimiter, TokenBucket

# No test can stop the clock of a database: beside the quarter of an hour from one call to the
# next, the seconds that a test takes are nothing.
APART = 1_000.0


def pool_of(bucket: TokenBucket) -> RateLimiter:
    return RateLimiter(bucket, per_second=1 / APART, burst=100)


def waits(*pools: RateLimiter, calls: int) -> list[float]:
    """How long each of so many calls waits, in turn by these pools, in calls; to a tenth."""

    async def taken() -> list[float]:
        return [await pools[n % len(pools)].acquire() for n in range(calls)]

    return [round(wait / APART, 1) for wait in asyncio.run(taken())]
