"""Recorded values that differ from those of responses are not stored, and are kept as revisions."""

from collections.abc import Callable
from datetime import date

from deribit_pipeline.domain.proofs import CrossCheck
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.helpers.recorded_trades import (
    DAY,
    HOUR_MS,
    NAME,
    START_MS,
    STREAM,
    TODAY,
    Trade,
    TradeRecording,
    body_of,
    frames_of,
    hash_of,
    published_on,
)
from deribit_pipeline_tests.helpers.requested_trades import RequestedTrades


def test_a_wrong_value_that_one_frame_has_is_replaced_and_kept_as_a_revision(
    spool: Spool,
    around: list[Trade],
    sandbox: SandboxExchange,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
) -> None:
    place = next(
        n for n, trade in enumerate(around) if trade["timestamp"] > START_MS + 15 * HOUR_MS
    )
    wrong = around[place] | {"price": around[place]["price"] * 1.5}
    TradeRecording(spool, STREAM, START_MS).frames(
        frames_of([*around[:place], wrong, *around[place + 1 :]])
    )
    outcome = take_in(DAY, TODAY)
    assert outcome.proofs[NAME, DAY].content_hash == hash_of(published_on(sandbox, DAY))
    assert outcome.proofs[NAME, DAY].cross_check is CrossCheck.AGREES
    assert kept(warehouse) == [(DAY, str(wrong["trade_seq"]), wrong["price"])]
    take_in(DAY, TODAY)
    assert len(kept(warehouse)) == 1
    assert verify(warehouse).findings == []


@every_store
def test_copies_that_differ_are_kept_as_revisions_once(
    spool: Spool,
    around: list[Trade],
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
) -> None:
    recording = TradeRecording(spool, STREAM, START_MS)
    recording.frames(frames_of(around))
    others = [around[-9] | {"price": 1.5}, around[-5] | {"amount": -1}]
    for other in others:
        recording.bodies([body_of([other])], other["timestamp"])
    for _ in range(2):
        take_in(TODAY)
        assert [(key, price) for _, key, price in kept(warehouse)] == [
            (str(other["trade_seq"]), other["price"]) for other in others
        ]
        assert verify(warehouse).findings == []


def kept(warehouse: Warehouse) -> list[tuple[date, str, float]]:
    with warehouse.reading() as connection:
        return connection.execute(
            "select day, row_key, cast(held ->> 'price' as double) from dataset_revisions "
            "where dataset = 'trades' order by row_key"
        ).fetchall()


def test_a_forced_backfill_requests_everything_and_revises_what_frames_said(
    spool: Spool,
    around: list[Trade],
    sandbox: SandboxExchange,
    requested: RequestedTrades,
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
) -> None:
    changed = [trade | {"mark_price": 1.0} for trade in around[3_000:3_002]]
    TradeRecording(spool, STREAM, START_MS).frames(
        frames_of([*around[:3_000], *changed, *around[3_002:]])
    )
    first = take_in(DAY, TODAY)
    assert first.proofs[NAME, DAY].content_hash != hash_of(published_on(sandbox, DAY))
    requested.clear()
    forced = take_in(DAY, force=True)
    assert requested.numbers >= {trade["trade_seq"] for trade in published_on(sandbox, DAY)}
    assert forced.proofs[NAME, DAY].content_hash == hash_of(published_on(sandbox, DAY))
    assert (forced.revised, forced.proofs[NAME, DAY].revised) == (2, 2)
    assert [key for _, key, _ in kept(warehouse)] == [str(each["trade_seq"]) for each in changed]
    assert verify(warehouse).findings == []


def test_a_frame_that_contradicts_what_responses_gave_before_changes_nothing_and_is_kept(
    spool: Spool,
    around: list[Trade],
    take_in: Callable[..., Outcome],
    warehouse: Warehouse,
) -> None:
    first = take_in(TODAY)
    changed = around[-20] | {"mark_price": 1.0}
    TradeRecording(spool, STREAM, START_MS).frames(
        frames_of([*around[:-20], changed, *around[-19:]])
    )
    second = take_in(TODAY)
    hashes = [outcome.proofs[NAME, TODAY].content_hash for outcome in (first, second)]
    assert hashes[0] == hashes[1]
    assert [key for _, key, _ in kept(warehouse)] == [str(changed["trade_seq"])]
    assert verify(warehouse).findings == []
