"""Entries in the exchange's former format: with fields absent or spelled differently."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.datasets.settlements.wire import settlements
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.history import listed_names
from deribit_pipeline.instruments.refresh import refresh
from deribit_pipeline.instruments.wire import listed
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.selection import Selector
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import recorded

LIST = "public/get_instruments"


@pytest.fixture(autouse=True)
def _credits_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of instruments are limited to one call a second after fifty, whatever the settings."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def selected(warehouse: Warehouse, selector: Selector) -> set[str]:
    with warehouse.reading() as connection:
        return set(listed_names(connection, selector.with_expired()))


@pytest.mark.parametrize("currency", ["BTC", "USDC"])
@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.pop("settlement_currency", None),
        lambda entry: entry.update(settlement_currency=None),
        lambda entry: entry.update(settlement_currency=""),
        lambda entry: [
            entry.pop(name, None)
            for name in ("settlement_currency", "counter_currency", "quote_currency")
        ],
    ],
)
def test_an_entry_without_its_settlement_currency_is_selected_by_it(
    opened: Callable[..., Exchange],
    warehouse: Warehouse,
    sandbox: SandboxExchange,
    currency: str,
    change: Callable[[dict[str, Any]], object],
) -> None:
    def old(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for entry in entries:
            change(entry)
        return entries

    refreshed = refresh(opened(), warehouse, currency)
    modern = selected(warehouse, Selector(currency=currency))
    assert len(modern) == refreshed.new > 15
    with warehouse.writing() as connection:
        connection.execute("delete from instruments")
    for methods in (sandbox._methods, sandbox._history_methods):
        returned = methods[LIST]
        methods[LIST] = lambda params, returned=returned: old(returned(params))
    refreshed = refresh(opened(), warehouse, currency)
    assert (refreshed.malformed, refreshed.new) == ((), len(modern))
    assert selected(warehouse, Selector(currency=currency)) == modern


@pytest.mark.parametrize(
    ("name", "kind", "quote"),
    [
        ("BTC-24SEP21", "future", "USD"),
        ("ETH-24SEP21-2000-C", "option", "ETH"),
        ("SOL_USDC-PERPETUAL", "future", "USDC"),
        ("BTC-FS-24SEP21_PERP", "future_combo", "USD"),
        ("BTC-CS-24SEP21-40000_50000", "option_combo", "BTC"),
        ("ETH_BTC", "spot", "BTC"),
    ],
)
def test_a_quote_currency_that_is_absent_follows_from_the_name(
    name: str, kind: str, quote: str
) -> None:
    entry = recorded("instrument") | {"instrument_name": name, "kind": kind}
    del entry["quote_currency"], entry["counter_currency"]
    [found] = listed([entry]).specifications
    assert found.quote_currency == quote


def test_both_spellings_of_a_bankruptcy_are_read() -> None:
    def bankruptcy(**fields: float) -> dict[str, Any]:
        return {"type": "bankruptcy", "timestamp": 1, "funded": 2.5, **fields}

    entries = [
        bankruptcy(session_bankruptcy=1.5),
        bankruptcy(session_bankrupcy=1.5, socialized=1.0),
        bankruptcy(session_bankruptcy=1.5, session_bankrupcy=1.5, socialized=2.0),
        bankruptcy(socialized=3.0),
    ]
    returned = settlements({"settlements": entries}).rows["session_bankruptcy"]
    assert returned[:3].tolist() == [1.5] * 3
    assert np.isnan(returned[3])
