"""Values that no trade can have, numbers that run against time, and what two responses share.

Nothing here is kept from being stored for ever: what is impossible is requested again, and stored
with a verdict where the exchange publishes it again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.rows import Columns, count_of, differences, joined_rows, some_of
from deribit_pipeline.domain.windows import Moments

MARGIN = 100
"""How far, in numbers, times may be out of order: the most is assumption:trades-order,
and a hundred is more than anything seen."""

JITTER = np.timedelta64(1_000, "ms")
"""How far times may be out of order at any distance in numbers, as in a burst of liquidations."""

MOST_PRICE = 1e9
"""No price, mark price or index price is beyond it, in quote currency."""

MOST_AMOUNT = 1e13
"""No amount of one trade is beyond it, in coins, contracts or USD."""

MOST_IV = 10_000.0
"""No implied volatility is beyond it, in percent a year."""


def impossible(rows: Columns, *, is_combo: bool) -> NDArray[np.bool_]:
    """Which trades have a value that none can have: a price or an amount that is not above 0, a
    negative mark price, index price or volatility, or any beyond its bound.

    The price of a combo is a difference of prices, and may have any sign.
    """
    price, mark, iv = rows["price"], rows["mark_price"], rows["iv"]
    found = ~(np.abs(price) < MOST_PRICE)
    found |= np.abs(mark) >= MOST_PRICE
    if not is_combo:
        found |= (price <= 0) | (mark < 0)
    for values, least, most in (
        (rows["index_price"], 0.0, MOST_PRICE),
        (iv, 0.0, MOST_IV),
    ):
        found |= (values < least) | (values >= most)
    for values in (rows["amount"], rows["contracts"]):
        found |= (values <= 0) | (values >= MOST_AMOUNT)
    return found


def are_in_order(numbers: NDArray[np.int64], times: Moments) -> bool:
    """Whether no trade is earlier than one whose number is lower by MARGIN or more, but for a
    JITTER. `numbers` are sorted; their trades need not be all that there are."""
    return not len(out_of_order(numbers, times))


def out_of_order(numbers: NDArray[np.int64], times: Moments) -> NDArray[np.intp]:
    """Where trades are earlier than one far before them in number."""
    latest = np.maximum.accumulate(times)
    late = np.flatnonzero(latest > times + JITTER)
    before = np.searchsorted(numbers, numbers[late] - MARGIN, side="right") - 1
    is_far: NDArray[np.bool_] = (before >= 0) & (latest[before] > times[late] + JITTER)
    return late[is_far]


def unique_rows(rows: Columns) -> Columns:
    """The trades sorted by number, the first of each number."""
    _, firsts = np.unique(rows["trade_seq"], return_index=True)
    return some_of(rows, firsts)


def shared_rows(responses: Sequence[Columns]) -> tuple[Columns, NDArray[np.int64]]:
    """The trades of which two of the responses, each sorted by number, have the same in every
    column, sorted by number; and the numbers of those of which no two do. Of two pairs, the
    newer one has the word."""
    numbers = responses[-1]["trade_seq"]
    for response in responses[:-1]:
        if not np.array_equal(response["trade_seq"], numbers):
            numbers = np.union1d(numbers, response["trade_seq"])
    shared: list[Columns] = []
    left = numbers
    for newer in range(len(responses) - 1, 0, -1):
        for older in range(newer - 1, -1, -1):
            if not len(left):
                break
            same = _same_rows(responses[newer], responses[older], left)
            left = np.setdiff1d(left, same["trade_seq"], assume_unique=True)
            shared.append(same)
    rows = joined_rows(shared) if shared else some_of(responses[0], slice(0, 0))
    return some_of(rows, np.argsort(rows["trade_seq"], kind="stable")), left


def are_equal(one: Columns, other: Columns) -> bool:
    """Whether two responses have the same trades, the same in every column."""
    return np.array_equal(one["trade_seq"], other["trade_seq"]) and not np.any(
        differences(one, other)
    )


def _same_rows(one: Columns, other: Columns, among: NDArray[np.int64]) -> Columns:
    if np.array_equal(one["trade_seq"], other["trade_seq"]):
        first, second = one, other
    else:
        _, ours, theirs = np.intersect1d(
            one["trade_seq"], other["trade_seq"], assume_unique=True, return_indices=True
        )
        first, second = some_of(one, ours), some_of(other, theirs)
    is_same = ~differences(first, second)
    if len(among) < count_of(first):
        is_same &= np.isin(first["trade_seq"], among)
    return some_of(first, is_same)
