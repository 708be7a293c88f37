"""A day's proof: what it counts, what changes it, and what contradicts it."""

import hashlib
import re
import struct
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.candles.days import unlisted_day
from deribit_pipeline.datasets.candles.proof import content_hash
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.proofs import DayState, FetchedDay
from deribit_pipeline.domain.rows import count_of
from deribit_pipeline.domain.windows import Moments, moment64
from deribit_pipeline.engine.proving import contradictions, prove
from deribit_pipeline.errors import DeribitBadPayload

DATASET = CANDLES[Resolution.HOUR_1]
DAY = date(2024, 1, 1)
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 1, 2, 0, 5, tzinfo=UTC)
HOURS = moment64(START) + np.arange(24) * np.timedelta64(1, "h")


def hourly(count: int = 24, price: float = 100.0) -> Candles:
    values = np.full((count, 6), price)
    values[:, 4] = np.arange(count) % 3  # every third hour is without a trade
    return Candles(HOURS[:count], values)


def fetched(candles: Candles, unclosed: Moments = HOURS[:0]) -> FetchedDay:
    """The returned candles of the 24 hours; closed ones that were not returned are missing."""
    return FetchedDay("BTC-PERPETUAL", DAY, candles.columns, NOW, HOURS, unclosed)


def test_a_day_that_misses_nothing_is_complete() -> None:
    proof = prove(DATASET, fetched(hourly())).proof
    assert (proof.state, proof.expected, proof.received, proof.missing) == (
        DayState.COMPLETE, 24, 24, 0
    )  # fmt: skip
    assert proof.without_trades == 8


def test_a_day_that_is_not_over_is_open_even_with_a_gap() -> None:
    proof = prove(DATASET, fetched(hourly(10), unclosed=HOURS[11:])).proof
    assert (proof.state, proof.expected, proof.received, proof.missing) == (
        DayState.OPEN, 24, 10, 1
    )  # fmt: skip


def test_a_day_that_misses_one_candle_is_gapped_and_names_it() -> None:
    proved = prove(DATASET, fetched(hourly(23)))
    assert (proved.proof.state, proved.proof.missing) == (DayState.GAPPED, 1)
    assert proved.gaps.tolist() == HOURS[23:].tolist()


def test_a_dead_day_is_gapped() -> None:
    assert prove(DATASET, fetched(hourly(0))).proof.state == DayState.GAPPED


def test_a_day_on_which_nothing_is_expected_is_not_listed() -> None:
    proof = prove(DATASET, unlisted_day("BTC-PERPETUAL", DAY, NOW)).proof
    assert (proof.state, proof.expected) == (DayState.NOT_LISTED, 0)


def test_the_same_day_again_keeps_the_proof_that_stands() -> None:
    first = prove(DATASET, fetched(hourly()))
    later = replace(fetched(hourly()), as_of=NOW + timedelta(days=1))
    assert prove(DATASET, later, first.rows, first.proof).proof is first.proof


def test_a_changed_candle_is_a_revision_and_the_old_values_are_kept() -> None:
    first = prove(DATASET, fetched(hourly()))
    changed = hourly()
    changed.values[5, 3] = 101.0
    second = prove(DATASET, fetched(changed), first.rows, first.proof)
    assert second.replaced["opened_at"].tolist() == [HOURS[5]]
    assert second.replaced["close"][0] == 100.0
    assert second.rows["close"][5] == 101.0
    assert second.proof.revised == 1
    assert second.proof.content_hash != first.proof.content_hash


def test_an_absent_candle_never_removes_one_that_is_held() -> None:
    first = prove(DATASET, fetched(hourly()))
    second = prove(DATASET, fetched(hourly(20)), first.rows, first.proof)
    assert second.proof is first.proof
    assert len(second.gaps) == 0


def test_an_older_answer_changes_nothing_that_a_newer_one_said() -> None:
    newer = prove(DATASET, fetched(hourly()))
    other = hourly(10)
    other.values[5, 3] = 101.0
    older = replace(fetched(other, unclosed=HOURS[10:]), as_of=NOW - timedelta(hours=12))
    late = prove(DATASET, older, newer.rows, newer.proof)
    assert late.proof is newer.proof
    assert count_of(late.replaced) == 0


def test_candles_of_a_day_that_is_no_longer_listed_are_an_error() -> None:
    held = prove(DATASET, fetched(hourly(12), unclosed=HOURS[12:]))
    unlisted = unlisted_day("BTC-PERPETUAL", DAY, NOW)
    with pytest.raises(DeribitBadPayload, match="not listed: has its listing changed"):
        prove(DATASET, unlisted, held.rows, held.proof)


def test_what_is_expected_does_not_follow_from_what_came() -> None:
    assert prove(DATASET, fetched(hourly(3))).proof.expected == 24


def test_the_hash_changes_with_any_bit() -> None:
    whole = content_hash(hourly().columns)
    for column in range(6):
        candles = hourly()
        candles.values[3, column] = np.nextafter(candles.values[3, column], 1e9)
        assert content_hash(candles.columns) != whole
    assert content_hash(hourly()[1:].columns) != whole


def test_the_hash_is_fixed_for_all_time() -> None:
    # Warehouses outlive releases, so the definition is repeated here, without numpy.
    ticks = struct.pack("<2q", 1_704_067_200_000, 1_704_070_800_000)
    values = struct.pack("<12d", *[100.0] * 4, 0.0, 100.0, *[100.0] * 4, 1.0, 100.0)
    digest = hashlib.blake2b(ticks + values, digest_size=16).hexdigest()
    assert content_hash(hourly(2).columns) == digest == "a6510f7b78c1505c87b9b45d6fb42327"


@pytest.mark.parametrize(
    ("rows", "gaps", "sentence"),
    [
        (hourly(23), 0, "received is 23, the proof has 24"),
        (hourly(24, price=99.0), 0, "content_hash is .*, the proof has"),
        (hourly(24), 1, "missing is 1, the proof has 0"),
        (hourly()[np.array([*range(23), 22])], 0, "candles are repeated"),
    ],
)
def test_rows_that_no_longer_match_contradict_the_proof(
    rows: Candles, gaps: int, sentence: str
) -> None:
    proof = prove(DATASET, fetched(hourly())).proof
    assert contradictions(DATASET, proof, hourly().columns, 0) == []
    found = "; ".join(contradictions(DATASET, proof, rows.columns, gaps))
    assert re.search(sentence, found), found
