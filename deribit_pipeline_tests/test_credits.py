"""The rate limit is one for all processes of the machine."""

import multiprocessing
from pathlib import Path

import pytest

from deribit_pipeline.deribit.credits import Credits, shared_path
from deribit_pipeline.errors import SettingsError
from deribit_pipeline.sandbox.limits import CreditPool


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def waits(pool: Credits, calls: int) -> list[float]:
    return [round(pool.take(), 6) for _ in range(calls)]


def test_a_burst_does_not_wait_and_then_calls_are_evenly_apart(tmp_path: Path) -> None:
    pool = Credits(tmp_path / "c", per_second=20, burst=100, clock=Time())
    # Five of a hundred are held back for what the network bunches up.
    assert waits(pool, 98) == [0.0] * 95 + [0.05, 0.1, 0.15]


def test_credits_refill_with_time(tmp_path: Path) -> None:
    time = Time()
    pool = Credits(tmp_path / "c", per_second=20, burst=100, clock=time)
    waits(pool, 95)
    time.now += 1.0
    assert waits(pool, 21) == [0.0] * 20 + [0.05]


def test_two_of_the_same_file_share_it(tmp_path: Path) -> None:
    time = Time()
    pools = [Credits(tmp_path / "c", per_second=20, burst=100, clock=time) for _ in range(2)]
    together = [round(pools[n % 2].take(), 6) for n in range(96)]
    assert together == [0.0] * 95 + [0.05]


def test_an_empty_pool_makes_everyone_wait(tmp_path: Path) -> None:
    time = Time()
    pools = [Credits(tmp_path / "c", per_second=20, burst=100, clock=time) for _ in range(2)]
    pools[0].exhaust(1.0)
    assert round(pools[1].take(), 6) == 1.05


def test_a_file_of_before_a_reboot_or_damaged_does_not_stop_anyone(tmp_path: Path) -> None:
    path = tmp_path / "c"
    for content in (b"", b"xyz", b"\xff" * 8, b"\x00" * 7 + b"\x7f"):
        path.write_bytes(content)
        assert Credits(path, per_second=20, burst=100, clock=Time()).take() == 0.0


def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    pool = Credits(tmp_path / "no" / "folder", per_second=20, burst=100)
    with pytest.raises(SettingsError, match="rate limit's file .* cannot be opened .*TMPDIR"):
        pool.take()


def test_the_sources_of_different_exchanges_have_different_pools() -> None:
    assert shared_path("a", "calls") != shared_path("b", "calls")
    assert shared_path("a", "calls") == shared_path("a", "calls")


def _take_many(path: Path, queue: "multiprocessing.SimpleQueue[float]") -> None:
    pool = Credits(path, per_second=1.0, burst=100)
    queue.put(max(pool.take() for _ in range(50)))


def test_processes_never_take_the_same_credit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.SimpleQueue[float] = context.SimpleQueue()
    others = [context.Process(target=_take_many, args=(tmp_path / "c", queue)) for _ in range(4)]
    for other in others:
        other.start()
    longest = max(queue.get() for _ in others)
    for other in others:
        other.join()
    # 200 calls of which 95 are free: the last waits 105 s, less what passed meanwhile.
    assert 105 - 30 < longest <= 105


def test_the_exchange_grants_what_the_pool_spends(tmp_path: Path) -> None:
    # Neither knows the other's code: the client's credits must fit into the exchange's.
    time = Time()
    ours = Credits(tmp_path / "c", per_second=20, burst=100, clock=time)
    theirs = CreditPool(20, 100, clock=time)
    for _ in range(500):
        time.now += ours.take()
        assert theirs.take()
