"""Currencies that the code does not list: returned by the exchange, kept once seen, and
selectable."""

import os
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from deribit_pipeline.defs.instruments_asset import instruments_asset, instruments_schedule
from deribit_pipeline.domain.specification import CURRENCIES
from deribit_pipeline.engine.universe import known_currencies
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.refresh import exchange_currencies, refresh
from deribit_pipeline.instruments.wire import currencies
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.refusals import invalid
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.command_line import Command, commands
from deribit_pipeline_tests.sandbox.test_sandbox import shape

LIST, NAMES = "public/get_instruments", "public/get_currencies"
SOL = "SOL-25MAR22"


@pytest.fixture(autouse=True)
def _credits_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of instruments are limited to one call a second after fifty, whatever the settings."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DERIBIT_ENV", "sandbox")
    monkeypatch.setenv("DERIBIT_BASE_URL", str(settings.base_url))
    monkeypatch.setenv("DERIBIT_WAREHOUSE", str(settings.warehouse))
    monkeypatch.setenv("DERIBIT_REQUESTS_PER_SECOND", "1000000")
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    return commands(capsys)


def refuse(sandbox: SandboxExchange) -> None:
    """Both hosts no longer list the currency SOL, but still list its futures."""
    for methods in (sandbox._methods, sandbox._history_methods):
        returned = methods[LIST]

        def refused(params: Any, returned: Any = returned) -> Any:
            if params["currency"] == "SOL":
                raise invalid("currency", "invalid currency")
            return returned(params)

        methods[LIST] = refused
    names = sandbox._methods[NAMES](None)
    sandbox.replay(NAMES, [entry for entry in names if entry["currency"] != "SOL"])


def test_the_recorded_currencies_are_read_and_the_sandbox_answers_alike(
    sandbox: SandboxExchange,
) -> None:
    assert currencies(recorded("currencies")) == [
        "USDT", "USDE", "USDC", "STETH", "EURR", "ETH", "BTC"
    ]  # fmt: skip
    returned = sandbox.answer(NAMES, {}).body["result"]
    assert shape(returned[0]).items() <= shape(recorded("currencies")[1]).items()
    assert set(currencies(returned)) >= {*CURRENCIES, "SOL"}
    assert currencies([None, {"currency": "x y"}, {"currency": None}, {"currency": "SOL"}]) == [
        "SOL"
    ]


@pytest.mark.parametrize("is_refused", [False, True])
def test_what_settled_in_a_currency_of_former_days_is_listed_and_selected(
    run: Command, sandbox: SandboxExchange, *, is_refused: bool
) -> None:
    if is_refused:
        refuse(sandbox)
    code, out, _ = run("instruments", "--currency", "SOL", "--expired")
    assert (code, SOL in out) == (0, True)
    code, out, err = run("instruments", "--expired", "--as-of", "2022-03-01")
    assert (code, SOL in out, "Never requested" in err) == (0, True, False)
    window = ("--start", "2022-03-01", "--end", "2022-03-02", "--resolution", "60")
    code, out, _ = run("backfill", "--instruments", "currency=SOL expired", *window)
    assert (code, SOL in out) == (0, True)


def test_a_currency_that_the_exchange_never_had_is_one_sentence(run: Command) -> None:
    for arguments in (
        ("instruments", "--currency", "XYZ"),
        ("backfill", "--instruments", "currency=XYZ", "--start", "2024-01-01"),
    ):
        code, _, err = run(*arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert "must be one of BTC, ETH, USDC, USDT, EURR, SOL, was 'XYZ'" in err


def test_the_asset_lists_a_new_currency_at_once_and_has_its_partition_afterwards(
    settings: Settings, warehouse: Warehouse
) -> None:
    asset = instruments_asset(settings)
    assert dg.materialize([asset], partition_key="BTC", selection=[asset]).success
    assert known_currencies(warehouse) == (*CURRENCIES, "SOL")
    again = instruments_asset(settings)
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2024, 1, 2, 8, 25))
    ticked: Any = instruments_schedule(settings, again)(context)
    assert [each.partition_key for each in ticked] == [*CURRENCIES, "SOL"]


def test_an_exchange_that_names_no_currencies_costs_only_what_it_alone_knows(
    opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    exchange = opened()
    del sandbox._methods[NAMES]
    assert "SOL" in exchange_currencies(exchange)
    assert "The list of currencies is incomplete" in caplog.text
    assert refresh(exchange, warehouse, "SOL").new == 1
