"""Assumptions about trades: their numbers, response limits, and what each host serves."""

from datetime import timedelta

import numpy as np

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    NotTested,
    Responses,
    compared,
)
from deribit_pipeline.assumptions.probe_requests import SERIES
from deribit_pipeline.datasets.trades.hosts import KEPT, LEAKS, MOST_TRADES, MOST_TRADES_OF_ARCHIVE
from deribit_pipeline.datasets.trades.trade_numbers import missing, within
from deribit_pipeline.datasets.trades.values import MARGIN
from deribit_pipeline.datasets.trades.wire import Columns
from deribit_pipeline.datasets.trades.wire import trades as parsed
from deribit_pipeline.domain.windows import moment64
from deribit_pipeline.engine.settling import SETTLING
from deribit_pipeline.exchange.shapes import array, mapping


def _trades(responses: Responses, name: str) -> Columns:
    """The trades of a response, sorted by `trade_seq`. Raises NotTested if there are none."""
    most = responses.requested(name, "count")
    returned = responses.read(name, lambda result: parsed(result, SERIES, most))
    if not len(returned["trade_seq"]):
        raise NotTested(f"the response to {name} has no trades")
    return returned


def _numbers(responses: Responses) -> Comparison:
    numbers = _trades(responses, "trades")["trade_seq"]
    holes = int(numbers[-1]) - int(numbers[0]) + 1 - len(np.unique(numbers))
    return compared(
        "no number is missing",
        f"{holes:,} numbers missing among {len(numbers):,} trades from {numbers[0]} on",
        holds=not holes,
    )


def _most(most: int, name: str, more: str, responses: Responses) -> Comparison:
    """Whether `most` trades can be requested, and one more is refused or not returned."""
    if responses.by_name.get(name) and responses.of(name).code is not None:
        return compared(f"{most:,} trades", f"a count of {most:,} is refused")
    response = responses.of(more)
    if response.code is not None:
        return compared(f"at most {most:,}", f"a count of {most + 1:,} is refused", holds=True)
    came = len(responses.read(more, lambda result: array(mapping(result).get("trades"))))
    return compared(f"at most {most:,}", f"{came:,}", holds=came <= most)


def _kept(responses: Responses) -> Comparison:
    oldest, as_of = _trades(responses, "trades")["traded_at"].min(), responses.as_of("trades")
    age = moment64(as_of) - oldest
    return compared(
        f"at least {KEPT / timedelta(hours=1):g} h",
        f"{age / np.timedelta64(3_600_000, 'ms'):.1f} h",
        holds=bool(age >= np.timedelta64(KEPT, "ms")),
    )


def _order(responses: Responses) -> Comparison:
    """The largest distance between a trade's number and its position by time."""
    farthest = count = 0
    for name in ("trades", "trades-archive"):
        try:
            times = _trades(responses, name)["traded_at"]
        except NotTested:
            if name == "trades":
                raise
            continue
        # Trades of one millisecond are sorted by their numbers.
        places = np.argsort(times, kind="stable")
        farthest = max(farthest, int(np.abs(places - np.arange(len(places))).max()))
        count += len(times)
    return compared(
        f"at most {MARGIN} numbers away", f"at most {farthest} in {count:,} trades",
        holds=farthest <= MARGIN,
    )  # fmt: skip


def _requested_numbers(responses: Responses) -> range:
    first, last = (responses.requested("trades-archive", name) for name in ("start_seq", "end_seq"))
    return range(first, last + 1)


def _leaks(responses: Responses) -> Comparison:
    wanted, rows = _requested_numbers(responses), _trades(responses, "trades-archive")
    beside = len(rows["trade_seq"]) - len(within(rows, wanted)["trade_seq"])
    return compared(
        f"at most {LEAKS} rows beside the numbers that were requested", f"{beside:,} rows",
        holds=beside <= LEAKS,
    )  # fmt: skip


def _archived(responses: Responses) -> Comparison:
    wanted, rows = _requested_numbers(responses), _trades(responses, "trades-archive")
    absent = missing(wanted, within(rows, wanted)["trade_seq"])
    found = f"{len(absent):,} of {len(wanted):,} numbers missing"
    found += f", the first one is {absent[0]}" if len(absent) else ""
    return compared("no number is missing", found, holds=not len(absent))


def _more(responses: Responses) -> Comparison:
    return _most(MOST_TRADES, "trades", "trades-more", responses)


def _more_of_archive(responses: Responses) -> Comparison:
    most = MOST_TRADES_OF_ARCHIVE
    return _most(most, "trades-archive", "trades-more-archive", responses)


TRADES = (
    Assumption(
        "trades-numbers",
        "The trades of an instrument have consecutive numbers (`trade_seq`).",
        Known.DOCUMENTED,
        "",
        "No day of trades can be proved: complete days are `gapped`. Report it to the maintainers.",
        _numbers,
    ),
    Assumption(
        "trades-order",
        f"A trade is at most {MARGIN} numbers away from the place that its time would give it.",
        Known.GUESS,
        "nothing recorded is as far",
        "Trades about midnight may be counted on the day beside theirs; such days fail.",
        _order,
    ),
    Assumption(
        "trades-most",
        f"A response of the main host holds up to {MOST_TRADES:,} trades, and no more.",
        Known.DOCUMENTED,
        "",
        "With fewer, no trades can be fetched: report it to the maintainers. With more, larger "
        "requests would do.",
        _more,
    ),
    Assumption(
        "trades-most-archive",
        f"A response of the archive host holds up to {MOST_TRADES_OF_ARCHIVE:,} trades, and no "
        "more.",
        Known.SEEN,
        "",
        "With fewer, trades older than a day cannot be fetched: report it to the maintainers. "
        "With more, larger requests would do.",
        _more_of_archive,
        is_of_mainnet=True,
    ),
    Assumption(
        "trades-kept",
        f"The main host has the trades of the last {KEPT / timedelta(hours=1):g} hours.",
        Known.SEEN,
        "about a day, by others; the exact time is not documented",
        "Days of trades that the archive does not have yet may be `gapped`; `repair` completes "
        "them later.",
        _kept,
    ),
    Assumption(
        "trades-archived",
        "The archive host has every trade that the main host no longer has.",
        Known.GUESS,
        "how late it gets trades is not documented",
        "Days of trades are `gapped` until the archive has them; `repair` completes them later.",
        _archived,
        is_of_mainnet=True,
    ),
    Assumption(
        "trades-leaks",
        f"A response of the archive host has at most {LEAKS} rows beside the numbers requested.",
        Known.GUESS,
        "rows beside them were seen",
        "Numbers are missing from responses and requested again: trades take more requests.",
        _leaks,
        is_of_mainnet=True,
    ),
    Assumption(
        "rows-settle",
        f"What happened is in a response {SETTLING / timedelta(minutes=1):g} minute later.",
        Known.GUESS,
        "nothing seen took as long",
        "A day that was read within minutes of midnight may have no last row: `repair`, or a "
        "forced backfill, reads it again.",
        untested="it needs an event whose time is known from another source",
    ),
)
