"""What is special about proving the days of a dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from deribit_pipeline.domain.proofs import Proof
from deribit_pipeline.domain.rows import Keys, Rows, rows_hash


def _none(rows: Rows) -> int:
    return 0


def _all(unclosed: Keys, moment: datetime) -> Keys:
    return unclosed


def _nothing(proof: Proof, rows: Rows) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class ProofRules:
    """The defaults apply to most datasets.

    `content_hash` is that of a day's rows, sorted by key. `without_trades` counts the rows without
    a trade. `still_unclosed` are those of a day's unclosed keys that are not closed at an instant.
    If `is_counted`, a day's counts alone determine its state: nothing expected is `not_listed`,
    anything unclosed `open`. `contradictions` are further differences between stored rows and their
    proof, besides what is recomputed for every dataset.
    """

    content_hash: Callable[[Rows], str] = rows_hash
    without_trades: Callable[[Rows], int] = _none
    still_unclosed: Callable[[Keys, datetime], Keys] = _all
    is_counted: bool = False
    contradictions: Callable[[Proof, Rows], list[str]] = _nothing
