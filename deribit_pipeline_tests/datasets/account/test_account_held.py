"""Rows of the account are stored as returned by the exchange, and add up."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from deribit_pipeline.datasets.account import wire as methods
from deribit_pipeline.datasets.account.source import (
    SETTLEMENT_HISTORY_SOURCE,
    TRANSACTION_LOG_SOURCE,
    USER_TRADES_SOURCE,
    AccountSource,
)
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import Provenance
from deribit_pipeline.domain.rows import count_of
from deribit_pipeline.engine.proved_days import DayWriter
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.market import DAY
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.account_owner import BUSY, Owner, corrupt, every_row, owner_of
from deribit_pipeline_tests.helpers.pipeline import ms

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 31)


@pytest.fixture
def owner(settings: Settings, sandbox: SandboxExchange) -> Iterator[Owner]:
    with owner_of(settings, sandbox) as owner:
        yield owner


def kept(owner: Owner, warehouse: Warehouse, source: AccountSource, *days: date) -> list[str]:
    """Fetch and write days in BTC; the states of their proofs."""
    book = DayWriter(source.dataset, lambda run_id: Provenance(Environment.SANDBOX, "here", run_id))
    with warehouse.writing() as connection:
        written = book.write(connection, "a run", "BTC", owner.days(source, *days))
    assert written.unconfirmed == []
    return [proof.state.value for proof in written.proofs]


def rows(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.reading() as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize(
    "source",
    [TRANSACTION_LOG_SOURCE, USER_TRADES_SOURCE, SETTLEMENT_HISTORY_SOURCE],
    ids=lambda source: source.dataset.name,
)
def test_what_was_returned_is_held_and_a_second_time_changes_nothing(
    owner: Owner, warehouse: Warehouse, source: AccountSource
) -> None:
    assert kept(owner, warehouse, source, FIRST, LAST) == ["complete"] * 31
    name = source.dataset.name
    (held,) = rows(warehouse, f"select list(told::varchar order by told::varchar) from {name}")
    returned = [json.dumps(json.loads(text)) for text in held[0]]
    assert sorted(returned) == sorted(owner.lived(source, FIRST, LAST))
    proofs = rows(warehouse, "from dataset_days order by all")
    assert kept(owner, warehouse, source, FIRST, LAST) == ["complete"] * 31
    assert rows(warehouse, "from dataset_days order by all") == proofs
    assert rows(warehouse, "from dataset_revisions") == []


def test_what_the_exchange_says_anew_of_a_trade_is_a_revision(
    owner: Owner, warehouse: Warehouse, clock: Clock
) -> None:
    owner.sandbox.account.indexed_after = DAY
    day = date(2024, 4, 9)
    owner.sandbox.account.crowd("BTC", ms(day, 1_300), 2)
    assert kept(owner, warehouse, USER_TRADES_SOURCE, day) == ["open"]
    clock.forward(timedelta(hours=13))
    corrupt(owner.sandbox, methods.TRADES, [every_row("trades", state="archive")] * 9)
    assert kept(owner, warehouse, USER_TRADES_SOURCE, day) == ["complete"]
    states = "select distinct {}->>'state' from {} where traded_at::date = '2024-04-09'"
    assert rows(warehouse, states.format("told", "user_trades")) == [("archive",)]
    ((revised,),) = rows(warehouse, "select revised from dataset_days")
    assert revised >= 2


def test_the_changes_of_complete_days_add_up_to_the_balance(
    owner: Owner, warehouse: Warehouse, clock: Clock
) -> None:
    clock.now = datetime.fromisoformat("2024-03-15T12:00:00+00:00")
    states = kept(owner, warehouse, TRANSACTION_LOG_SOURCE, date(2024, 1, 1), date(2024, 3, 15))
    assert states == [*["complete"] * 74, "open"]
    ((change, is_busy),) = rows(
        warehouse,
        f"select sum(change), max(entries) filter (day = '{BUSY}') > 250 from daily_pnl",
    )
    ((balance,),) = rows(
        warehouse,
        "select max_by(balance, user_seq) from transaction_log "
        "where logged_at < '2024-03-15 00:00:00+00'",
    )
    assert change == pytest.approx(balance, abs=1e-8)
    assert is_busy
    kinds = rows(warehouse, "select distinct type from daily_pnl order by type")
    assert kinds == [("deposit",), ("settlement",), ("trade",)]
    assert rows(warehouse, "from daily_pnl where day >= '2024-03-15'") == []


def test_each_balance_of_the_log_follows_from_the_one_before(owner: Owner) -> None:
    for day in owner.days(TRANSACTION_LOG_SOURCE, FIRST, LAST):
        expected = "each balance follows from the one before" if count_of(day.rows) else ""
        assert day.verdict.partition(";")[0] == expected
