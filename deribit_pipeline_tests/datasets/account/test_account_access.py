"""An account is accessible to its owner only, with a key for which read access is enough."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from deribit_pipeline.connectivity import probes
from deribit_pipeline.datasets.account import SETTLEMENT_HISTORY, TRANSACTION_LOG, USER_TRADES
from deribit_pipeline.datasets.account import wire as methods
from deribit_pipeline.datasets.account.calls import get_transaction_log
from deribit_pipeline.datasets.account.source import (
    SETTLEMENT_HISTORY_SOURCE,
    TRANSACTION_LOG_SOURCE,
    USER_TRADES_SOURCE,
    AccountSource,
)
from deribit_pipeline.engine.reach import within_reach
from deribit_pipeline.engine.source import FailedDays
from deribit_pipeline.errors import DeribitRejected
from deribit_pipeline.exchange.auth import Token
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, TOKEN_LIFE, SandboxExchange
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.account_owner import (
    BUSY,
    Owner,
    corrupt,
    first_row,
    owner_of,
    requested,
    returned_in,
)

RIGHT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


@pytest.fixture
def owner(settings: Settings, sandbox: SandboxExchange) -> Iterator[Owner]:
    with owner_of(settings, sandbox) as owner:
        yield owner


def test_without_credentials_there_is_no_account(settings: Settings, owner: Owner) -> None:
    account = {TRANSACTION_LOG, USER_TRADES, SETTLEMENT_HISTORY}
    assert set(within_reach(owner.settings)) - set(within_reach(settings)) == account


def test_the_minimal_scope_is_requested(owner: Owner) -> None:
    owner.sandbox.key_scope = "account:read_write trade:read_write wallet:read_write"
    calls = requested(owner.sandbox, "public/auth")
    owner.days(TRANSACTION_LOG_SOURCE, BUSY)
    assert [call["scope"] for call in calls] == ["account:read trade:read"]
    assert set(owner.sandbox._scopes.values()) == {"account:read trade:read mainaccount"}


@pytest.mark.parametrize(
    ("key_scope", "source"),
    [
        ("account:read", USER_TRADES_SOURCE),
        ("account:read", SETTLEMENT_HISTORY_SOURCE),
        ("trade:read", TRANSACTION_LOG_SOURCE),
    ],
)
def test_a_key_without_the_scope_is_shown_which_it_needs(
    owner: Owner, key_scope: str, source: AccountSource
) -> None:
    owner.sandbox.key_scope = key_scope
    with pytest.raises(
        DeribitRejected,
        match=r"forbidden \(13021\); give the API key the scopes account:read and trade:read, and",
    ):
        owner.pieces(source, BUSY)


def test_a_key_that_can_trade_is_warned_of(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    owner.sandbox.key_scope = "account:read trade:read_write wallet:read_write"
    returned = owner.sandbox._methods["public/auth"]
    # An exchange that grants the whole scope of the key, whatever was requested.
    owner.sandbox._methods["public/auth"] = lambda params: returned(
        {name: value for name, value in params.items() if name != "scope"}
    )
    owner.days(TRANSACTION_LOG_SOURCE, BUSY)
    assert (
        "The API key can do more than read (trade:read_write, wallet:read_write): use a key with "
        "the scope account:read trade:read only"
    ) in caplog.text
    (probe,) = [probe for probe in probes(owner.settings) if probe.name == "credentials"]
    assert probe.is_ok
    assert "it can do more than read (trade:read_write, wallet:read_write)" in probe.detail


def test_a_key_that_misses_a_scope_is_reported(owner: Owner) -> None:
    owner.sandbox.key_scope = "account:read"
    (probe,) = [probe for probe in probes(owner.settings) if probe.name == "credentials"]
    assert probe.is_ok
    assert probe.detail.endswith("give it the scope trade:read too, for the account's history")


@pytest.mark.parametrize(
    ("scope", "writes", "lacks"),
    [
        ("trade:read account:read wallet:read custody:read block_trade:read", [], []),
        ("account:read trade:read_write session:a", ["trade:read_write"], []),
        ("account:read trade:read_trade", ["trade:read_trade"], []),
        ("connection mainaccount", [], ["account:read", "trade:read"]),
        ("", [], []),
    ],
)
def test_a_scope_is_understood(scope: str, writes: list[str], lacks: list[str]) -> None:
    token = Token("abc", 900.0, scope)
    assert (token.writes, token.missing_scopes) == (writes, lacks)


def test_no_error_log_or_row_shows_a_secret(
    owner: Owner, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    for changes in ([], [first_row("logs", currency="ETH")] * 50):
        corrupt(owner.sandbox, methods.LOG, changes)
        clock.forward(timedelta(seconds=TOKEN_LIFE + 1))
        for piece in owner.pieces(TRANSACTION_LOG_SOURCE, BUSY):
            seen += [str(piece.error)] if isinstance(piece, FailedDays) else returned_in([piece])
    owner.sandbox.key_scope = "trade:read"
    clock.forward(timedelta(seconds=TOKEN_LIFE + 1))
    with pytest.raises(DeribitRejected) as caught:
        owner.pieces(TRANSACTION_LOG_SOURCE, BUSY)
    seen += [*traceback.format_exception(caught.value), caplog.text]
    secrets = {CLIENT_SECRET, *owner.sandbox._tokens, *owner.sandbox._refresh_tokens}
    assert len(secrets) > 6
    assert [text for text in seen if any(secret in text for secret in secrets)] == []


def token_of(sandbox: SandboxExchange, **params: str) -> str:
    answer = sandbox.answer("public/auth", {"grant_type": "client_credentials"} | RIGHT | params)
    token: str = answer.body["result"]["access_token"]
    return token


@pytest.mark.parametrize(
    ("method", "params", "most"),
    [
        (methods.LOG, {"start_timestamp": "0", "end_timestamp": "1"}, 250),
        (methods.TRADES, {"start_timestamp": "0", "end_timestamp": "1"}, 1_000),
        (methods.SETTLEMENTS, {}, 1_000),
        ("private/get_positions", {}, None),
        ("private/get_account_summaries", {}, None),
    ],
)
def test_the_sandbox_wants_a_token_with_the_scope(
    sandbox: SandboxExchange, method: str, params: dict[str, str], most: int | None
) -> None:
    params = params | {"currency": "BTC"}
    assert sandbox.answer(method, params).body["error"]["code"] == 13009
    narrow = token_of(sandbox, scope="wallet:read")
    assert sandbox.answer(method, params, narrow).body["error"]["code"] == 13021
    token = token_of(sandbox)
    assert "result" in sandbox.answer(method, params, token).body
    if most is not None:
        full, over = (params | {"count": str(count)} for count in (most, most + 1))
        assert "result" in sandbox.answer(method, full, token).body
        assert sandbox.answer(method, over, token).body["error"]["code"] == -32602


def test_the_log_is_metered_apart(clock: Clock) -> None:
    exchange = SandboxExchange(clock, per_second=0.001, burst=100)
    token = token_of(exchange)
    params = {"currency": "BTC", "start_timestamp": "0", "end_timestamp": "1"}
    statuses = [exchange.answer(methods.LOG, params, token).status for _ in range(9)]
    assert statuses == [200] * 8 + [400]
    assert exchange.answer("private/get_positions", {}, token).status == 200


def test_the_client_keeps_to_the_logs_own_limit(clock: Clock, settings: Settings) -> None:
    sandbox = SandboxExchange(clock, per_second=20.0)
    with serving(sandbox) as url:
        settings = replace(settings, base_url=url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        with open_exchange(settings, 0.0) as exchange:

            async def several() -> None:
                calls = (get_transaction_log(exchange.client, "BTC", 0, 1) for _ in range(9))
                await asyncio.gather(*calls)

            exchange.run(several())
    assert (sandbox.requests[methods.LOG], sandbox.refused) == (9, 0)


def test_the_sandbox_has_recent_trades_and_historical_ones(sandbox: SandboxExchange) -> None:
    token, now, minute = token_of(sandbox), sandbox.now_ms(), 60_000
    for minutes in (5, 60):
        sandbox.account.crowd("BTC", now - minutes * minute, 3)

    def returned(start: int, historical: str) -> list[int]:
        params = {"currency": "BTC", "start_timestamp": str(start), "end_timestamp": str(now)}
        params |= {"count": "1000", "historical": historical, "sorting": "asc"}
        trades = sandbox.answer(methods.TRADES, params, token).body["result"]["trades"]
        return sorted({(now - trade["timestamp"]) // minute for trade in trades})

    assert {5, 60} <= set(returned(now - 24 * 60 * minute, "false"))
    assert returned(now - 24 * 60 * minute - 1, "false") == []
    assert 5 not in returned(now - 25 * 60 * minute, "true")
    assert 60 in returned(now - 25 * 60 * minute, "true")


def test_the_sandboxs_balance_is_that_of_its_log(sandbox: SandboxExchange) -> None:
    token, now = token_of(sandbox), sandbox.now_ms()
    summary = sandbox.answer("private/get_account_summary", {"currency": "ETH"}, token)
    params = {"currency": "ETH", "start_timestamp": "0", "end_timestamp": str(now), "count": "1"}
    (newest,) = sandbox.answer(methods.LOG, params, token).body["result"]["logs"]
    assert summary.body["result"]["balance"] == newest["balance"] > 0
