"""Proof rules that are specific to days of candles."""

import hashlib
from datetime import datetime
from functools import partial

import numpy as np

from deribit_pipeline.datasets.candles.grid import grid_of
from deribit_pipeline.domain.candles import CANDLE_VALUES, Resolution
from deribit_pipeline.domain.proof_rules import ProofRules
from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.domain.rows import Keys, Rows, count_of
from deribit_pipeline.domain.windows import moment64


def rules_of(resolution: Resolution) -> ProofRules:
    """The proof rules for candles of a resolution."""
    return ProofRules(
        content_hash=content_hash,
        without_trades=_without_trades,
        still_unclosed=partial(_still_unclosed, resolution),
        is_counted=True,
        contradictions=partial(_contradictions, resolution),
    )


def content_hash(candles: Rows) -> str:
    """A hash of every value of a day's candles, sorted by time: 128 bits of BLAKE2b.

    Over the opening times as little-endian 64-bit milliseconds, then the six values of each
    candle as little-endian doubles. Any change of any bit changes it.
    """
    digest = hashlib.blake2b(digest_size=16)
    opened_at = candles["opened_at"].astype("<M8[ms]").view("<i8")
    digest.update(np.ascontiguousarray(opened_at).data)
    values = np.empty((count_of(candles), len(CANDLE_VALUES)), "<f8")
    for place, name in enumerate(CANDLE_VALUES):
        values[:, place] = candles[name]
    digest.update(values.data)
    return digest.hexdigest()


def _without_trades(candles: Rows) -> int:
    """The number of candles without trades, with volume 0 (assumption:candles-fillers)."""
    return int(np.count_nonzero(candles["volume_base"] == 0.0))


def _still_unclosed(resolution: Resolution, unclosed: Keys, moment: datetime) -> Keys:
    ends = unclosed + np.timedelta64(resolution.duration, "ms")
    # Compared in microseconds, the unit of the clock.
    return unclosed[ends.astype("datetime64[us]") > moment64(moment, "us")]


def _contradictions(resolution: Resolution, proof: Proof, candles: Rows) -> list[str]:
    """Whether candles are off the grid, or more than can open on a day."""
    found = []
    grid = grid_of(resolution, candles["opened_at"])
    if grid is not None and not grid.has(candles["opened_at"]):
        found.append("candles are off the grid")
    if proof.expected > resolution.candles_per_day:
        found.append(f"{proof.expected} candles cannot open on one day")
    return found
