"""The majority of several responses about doubtful candles: pure."""

from collections.abc import Sequence

import numpy as np

from deribit_pipeline.domain.candles import CANDLE_VALUES, Candles
from deribit_pipeline.domain.windows import Moments


def majority(responses: Sequence[Candles], openings: Moments) -> tuple[Candles, Moments]:
    """The candles at these openings on which at least two responses agree, and the openings of the
    others.

    If responses differ, the values that most of them have are taken; a tie counts as no agreement.
    A candle that is missing from a response, or malformed in it, does not count.
    """
    values = np.full((len(responses), len(openings), len(CANDLE_VALUES)), np.nan)
    for number, response in enumerate(responses):
        _, at, rows = np.intersect1d(
            openings, response.opened_at, assume_unique=True, return_indices=True
        )
        values[number, at] = response.values[rows]
    # NaN is not equal to itself: a missing candle agrees with none.
    are_alike = (values[:, None] == values[None, :]).all(axis=-1)
    counts = are_alike.sum(axis=1)
    winners = counts.argmax(axis=0)
    most = counts.max(axis=0)
    columns = np.arange(len(openings))
    is_beaten = ((counts == most) & ~are_alike[winners, :, columns].T).any(axis=0)
    is_shared = (most >= 2) & ~is_beaten
    shared = Candles(openings[is_shared], values[winners, columns][is_shared])
    return shared, openings[~is_shared]
