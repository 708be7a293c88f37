"""Impossible trade values, decreasing times, and agreement of two responses.

None of this prevents storing: trades with impossible values are requested again, and stored with a
verdict if the exchange returns them again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.domain.rows import (
    Columns,
    Rows,
    count_of,
    differences,
    joined_rows,
    pieces_of,
    some_of,
)
from deribit_pipeline.domain.windows import Moments

MARGIN = 100
"""How far, in numbers, times may be out of order: the assumed maximum is assumption:trades-order; a
hundred is more than anything seen."""

JITTER = np.timedelta64(1_000, "ms")
"""How far times may be out of order at any distance in numbers, as in a burst of liquidations."""

MOST_PRICE = 1e9
"""Above any price, mark price or index price, in quote currency."""

MOST_AMOUNT = 1e13
"""Above any amount of one trade, in coins, contracts or USD."""

MOST_IV = 10_000.0
"""Above any implied volatility, in percent a year."""


VALUES = ("price", "mark_price", "index_price", "iv", "amount", "contracts")
"""The columns whose values may be impossible."""


def impossible(rows: Columns, *, is_combo: bool) -> NDArray[np.bool_]:
    """Which trades have an impossible value: a price or amount of 0 or less, a negative mark price,
    index price or volatility, or one beyond its bound.

    The price of a combo is a difference of prices and may have any sign.
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
    """Whether no trade is more than JITTER earlier than one whose number is lower by MARGIN or
    more. `numbers` are sorted; they may have gaps."""
    return not len(out_of_order(numbers, times))


def out_of_order(numbers: NDArray[np.int64], times: Moments) -> NDArray[np.intp]:
    """The positions of trades that are earlier than one with a far lower number."""
    latest = np.maximum.accumulate(times)
    late = np.flatnonzero(latest > times + JITTER)
    before = np.searchsorted(numbers, numbers[late] - MARGIN, side="right") - 1
    is_far: NDArray[np.bool_] = (before >= 0) & (latest[before] > times[late] + JITTER)
    return late[is_far]


def late_numbers(rows: Rows) -> NDArray[np.int64]:
    """The numbers of trades, sorted by number, that are earlier than one with a far lower
    number."""
    found = [np.empty(0, np.int64)]
    before, latest = np.empty(0, np.int64), np.empty(0, "datetime64[ms]")
    for piece in pieces_of(rows, "trade_seq", "traded_at"):
        # After the last trades of the piece before, each at the latest time up to it.
        numbers = np.concatenate((before, piece["trade_seq"]))
        times = np.concatenate((latest, piece["traded_at"]))
        found.append(numbers[out_of_order(numbers, times)])
        before, latest = numbers[-MARGIN:], np.maximum.accumulate(times)[-MARGIN:]
    return np.concatenate(found)


def unique_rows(rows: Columns) -> Columns:
    """The trades sorted by number, the first of each number."""
    _, firsts = np.unique(rows["trade_seq"], return_index=True)
    return some_of(rows, firsts)


def shared_rows(responses: Sequence[Columns]) -> tuple[Columns, NDArray[np.int64]]:
    """Trades on which two of the responses (each sorted by number) agree in every column, sorted by
    number; and the numbers of trades on which no two agree. Of two agreeing pairs, the newer takes
    precedence."""
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


def differing(rows: Rows, others: Rows) -> Columns:
    """The trades of which the others have other values; one for each number, sorted by number.
    `others` are sorted and unique."""
    numbers, others_numbers = rows["trade_seq"], others["trade_seq"]
    at = np.searchsorted(others_numbers, numbers)
    is_there = at < len(others_numbers)
    is_there[is_there] = others_numbers[at[is_there]] == numbers[is_there]
    ours, theirs = np.flatnonzero(is_there), at[is_there]
    is_unlike = np.zeros(len(ours), bool)
    for name in rows:  # one column at a time is in memory
        is_unlike |= differences({name: rows[name][ours]}, {name: others[name][theirs]})
    return unique_rows(some_of(rows, ours[is_unlike]))


def are_equal(one: Columns, other: Columns) -> bool:
    """Whether two responses have the same trades with equal values in every column."""
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
