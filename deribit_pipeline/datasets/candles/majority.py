"""What responses share about candles that are in doubt: pure."""

from collections.abc import Sequence

import numpy as np

from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles
from deribit_pipeline.domain.windows import Moments


def majority(responses: Sequence[Candles], openings: Moments) -> tuple[Candles, Moments]:
    """The candles at these openings that at least two responses share, and the openings without.

    Where responses differ, the values that most of them share count; a tie is none. A candle that
    a response does not have, or has malformed, counts for nothing.
    """
    values = np.full((len(responses), len(openings), len(CANDLE_VALUES)), np.nan)
    for number, response in enumerate(responses):
        _, at, rows = np.intersect1d(
            openings, response.opened_at, assume_unique=True, return_indices=True
        )
        values[number, at] = response.values[rows]
    # NaN is equal to nothing, not even to itself: what is absent shares its values with none.
    are_alike = (values[:, None] == values[None, :]).all(axis=-1)
    counts = are_alike.sum(axis=1)
    winners = counts.argmax(axis=0)
    most = counts.max(axis=0)
    columns = np.arange(len(openings))
    is_beaten = ((counts == most) & ~are_alike[winners, :, columns].T).any(axis=0)
    is_shared = (most >= 2) & ~is_beaten
    shared = Candles(openings[is_shared], values[winners, columns][is_shared])
    return shared, openings[~is_shared]
