"""Listings are stored as a history of specifications, readable as of any date."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deribit_pipeline.domain.specification import KINDS, Specification
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.history import universe
from deribit_pipeline.instruments.refresh import Refreshed, refresh
from deribit_pipeline.instruments.specification_writes import write_specifications
from deribit_pipeline.instruments.wire import listed, specification
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.selection import Selector
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock, recorded

LIST = "public/get_instruments"
ALL = Selector(is_with_expired=True)
NOON = datetime(2026, 9, 20, 12, tzinfo=UTC)
CHANGED_AT = datetime(2026, 8, 18, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _credits_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of instruments are limited to one call a second after fifty, whatever the settings."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def refreshed(opened: Callable[..., Exchange], warehouse: Warehouse) -> Callable[..., Refreshed]:
    exchange = opened()
    return lambda currency="BTC": refresh(exchange, warehouse, currency, "a run")


def held(warehouse: Warehouse, at: datetime, selector: Selector = ALL) -> dict[str, Specification]:
    with warehouse.reading() as connection:
        found = universe(connection, selector, at, at)
    by_name = {each.instrument_name: each for each in found}
    assert len(by_name) == len(found)
    return by_name


def rows(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.reading() as connection:
        return connection.execute(query).fetchall()


def test_the_recorded_lists_are_read_to_the_last_field() -> None:
    futures = listed(recorded("instruments_future"))
    options = listed(recorded("instruments_option"))
    assert (len(futures.specifications), len(options.specifications)) == (13, 8)
    assert futures.malformed == options.malformed == ()
    by_name = {each.instrument_name: each for each in (*futures.specifications,
                                                       *options.specifications)}  # fmt: skip
    assert by_name["BTC-PERPETUAL"] == specification(recorded("instrument"))
    assert by_name["BTC-PERPETUAL"] == Specification(
        "BTC-PERPETUAL", 210838, "future", "reversed", "BTC", "USD", "USD", "BTC", "perpetual",
        datetime(2018, 8, 14, 10, 24, 47, tzinfo=UTC), None, None, None, "btc_usd", 10.0, 0.5,
        "[]", 10.0, 0.00015, 0.00035, 50.0,
    )  # fmt: skip
    option = by_name["BTC-21SEP26-68000-C"]
    assert (option.strike, option.option_type, option.max_leverage) == (68_000.0, "call", None)
    assert option.expires_at == datetime(2026, 9, 21, 8, tzinfo=UTC)
    assert option.tick_size_steps == '[{"above_price": 0.005, "tick_size": 0.0005}]'
    assert by_name["XRP_USDC-21SEP26-1d25-C"].strike == 1.25


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"instrument_name": "A|B"}, "`instrument_name` must be letters, digits"),
        ({"kind": "swap"}, "`kind` must be one of future, option"),
        ({"creation_timestamp": None}, "`creation_timestamp` must be a number"),
        ({"expiration_timestamp": 1_534_242_286_999}, "must expire after it is created"),
        ({"base_currency": None}, "`base_currency` must be a text"),
        ({"quote_currency": 7}, "`quote_currency` must be a text"),
        ({"contract_size": None}, "`contract_size` must be a number"),
        ({"tick_size": 0}, "`tick_size` must be above 0"),
        ({"min_trade_amount": True}, "`min_trade_amount` must be a number"),
        ({"taker_commission": 10**400}, "`taker_commission` must be finite"),
        ({"instrument_id": 1.5}, "`instrument_id` must be a whole number"),
        ({"tick_size_steps": {}}, "must be an array"),
        ({"tick_size_steps": [{"above_price": 1.0}]}, "`tick_size` must be a number"),
    ],
)
def test_a_malformed_entry_is_reported_and_the_others_stand(
    change: dict[str, Any], sentence: str
) -> None:
    good = recorded("instrument")
    with pytest.raises(ValueError, match=sentence):
        specification(good | change)
    answer = listed([good | change, good])
    assert [each.instrument_name for each in answer.specifications] == ["BTC-PERPETUAL"]
    assert len(answer.malformed) == 1


def test_what_an_old_instrument_need_not_say_is_none() -> None:
    entry = recorded("instrument")
    optional = (
        "instrument_id", "instrument_type", "counter_currency", "settlement_currency",
        "settlement_period", "price_index", "maker_commission", "taker_commission", "max_leverage",
    )  # fmt: skip
    bare = {name: value for name, value in entry.items() if name not in optional}
    bare.pop("tick_size_steps")
    found = specification(bare | {"something_new": 1})
    assert all(getattr(found, name) is None for name in optional)
    assert found.tick_size_steps == "[]"


def test_a_refresh_holds_what_trades_and_what_ever_expired(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse, clock: Clock
) -> None:
    result = refreshed()
    assert (result.failed, result.malformed, result.unconfirmed) == ((), (), ())
    found = held(warehouse, clock.now)
    assert result.new == len(found) > 60
    assert {"BTC-PERPETUAL", "BTC-29MAR24-42000-C", "BTC-FS-29MAR24_PERP"} <= found.keys()
    assert held(warehouse, clock.now, Selector()).keys() == {"BTC-PERPETUAL"}


def test_the_universe_is_that_of_any_date(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse
) -> None:
    refreshed()
    refreshed("USDC")
    january = held(warehouse, datetime(2024, 1, 2, tzinfo=UTC), Selector())
    assert {"BTC-5JAN24", "BTC-26JAN24", "BTC-29MAR24", "SOL_USDC-PERPETUAL"} <= january.keys()
    assert "XRP_USDC-30JUN23-0d625-C" not in january
    at_expiry = datetime(2024, 1, 5, 8, tzinfo=UTC)
    before = held(warehouse, at_expiry - timedelta(milliseconds=1), Selector())
    assert "BTC-5JAN24" in before
    assert "BTC-5JAN24" not in held(warehouse, at_expiry, Selector())
    early = held(warehouse, datetime(2018, 8, 14, 10, 24, 46, tzinfo=UTC))
    assert early == {}


def test_selectors_choose_by_every_term(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse
) -> None:
    for currency in ("BTC", "ETH", "USDC"):
        refreshed(currency)
    at = datetime(2024, 1, 2, tzinfo=UTC)
    perpetual = held(warehouse, at, Selector(is_perpetual=True, currency="BTC"))
    assert perpetual.keys() == {"BTC-PERPETUAL"}
    by_base = held(warehouse, at, Selector(is_perpetual=True, base="BTC"))
    assert by_base.keys() == {"BTC-PERPETUAL", "BTC_USDC-PERPETUAL"}
    expiry = datetime(2024, 3, 29, tzinfo=UTC).date()
    options = held(warehouse, at, Selector(kind="option", currency="ETH", expiry=expiry))
    assert len(options) == 20
    assert all(name.startswith("ETH-29MAR24-") for name in options)
    spot = held(warehouse, at, Selector(kind="spot", currency="USDC"))
    assert spot.keys() == {"BTC_USDC"}


def test_the_same_lists_again_change_nothing_but_when_they_were_seen(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse, clock: Clock
) -> None:
    refreshed()
    before = rows(warehouse, "select * exclude (last_seen_at) from instruments order by all")
    clock.forward(timedelta(hours=1))
    again = refreshed()
    assert (again.new, again.changed, again.unchanged) == (0, (), len(before))
    assert rows(
        warehouse, "select * exclude (last_seen_at) from instruments order by all"
    ) == before  # fmt: skip
    assert rows(warehouse, "select distinct last_seen_at from instruments") == [(clock.now,)]


def test_a_changed_specification_closes_the_one_before_it(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse, clock: Clock
) -> None:
    clock.now = CHANGED_AT - timedelta(hours=8)
    refreshed("USDC")
    clock.now = seen_at = CHANGED_AT + timedelta(hours=16)
    result = refreshed("USDC")
    assert len(result.changed) == 18
    assert result.new == 0
    history = rows(
        warehouse,
        "select contract_size, taker_commission, valid_from = listed_at, valid_from, valid_to "
        "from instruments where instrument_name = 'SOL_USDC-PERPETUAL' order by valid_from",
    )
    assert [row[:3] for row in history] == [(0.1, 0.00035, True), (0.01, 0.0005, False)]
    assert history[0][4] == history[1][3] == seen_at
    assert history[1][4] is None
    assert held(warehouse, CHANGED_AT)["SOL_USDC-PERPETUAL"].contract_size == 0.1
    assert held(warehouse, seen_at)["SOL_USDC-PERPETUAL"].contract_size == 0.01


def test_an_expiry_changes_no_specification(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse, clock: Clock
) -> None:
    clock.now = datetime(2024, 3, 28, tzinfo=UTC)
    refreshed()
    before = rows(warehouse, "select * exclude (last_seen_at) from instruments order by all")
    clock.now = datetime(2024, 3, 30, tzinfo=UTC)
    assert refreshed().changed == ()
    assert rows(
        warehouse, "select * exclude (last_seen_at) from instruments order by all"
    ) == before  # fmt: skip


def test_what_an_answer_misses_stays(
    refreshed: Callable[..., Refreshed],
    warehouse: Warehouse,
    sandbox: SandboxExchange,
    clock: Clock,
) -> None:
    count = refreshed().new
    sandbox.replay("public/get_instruments", [])
    clock.forward(timedelta(days=1))
    result = refreshed()
    assert (result.new, result.changed) == (0, ())
    assert len(held(warehouse, clock.now)) == count
    assert "BTC-PERPETUAL" in held(warehouse, clock.now)


def test_a_change_that_a_second_answer_does_not_confirm_is_none(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse, faults: Faults, clock: Clock
) -> None:
    refreshed()
    before = held(warehouse, clock.now)
    clock.forward(timedelta(days=1))
    faults.corrupt_next(["other_terms"] * 2, LIST)
    result = refreshed()
    assert (result.changed, result.unconfirmed) == ((), ("BTC-PERPETUAL",))
    assert held(warehouse, clock.now) == before
    assert refreshed().unconfirmed == ()


def test_a_listing_that_changes_does_so_in_each_row(
    refreshed: Callable[..., Refreshed],
    warehouse: Warehouse,
    sandbox: SandboxExchange,
    clock: Clock,
) -> None:
    clock.now = CHANGED_AT - timedelta(days=1)
    refreshed("USDC")
    clock.forward(timedelta(days=2))
    refreshed("USDC")
    entries = sandbox.answer(LIST, {"currency": "USDC"}).body["result"]
    [sol] = [entry for entry in entries if entry["instrument_name"] == "SOL_USDC-PERPETUAL"]
    delisted_at = clock.now + timedelta(days=3)
    sol |= {"expiration_timestamp": int(delisted_at.timestamp() * 1000)}
    sandbox.replay(LIST, [sol])
    clock.forward(timedelta(days=1))
    refreshed("USDC")
    assert rows(
        warehouse,
        "select count(*), count(distinct expires_at) from instruments "
        "where instrument_name = 'SOL_USDC-PERPETUAL' and expires_at is not null",
    ) == [(2, 1)]
    assert "SOL_USDC-PERPETUAL" not in held(warehouse, delisted_at, Selector())


def test_an_archive_that_fails_costs_only_what_it_alone_knows(
    settings: Settings, warehouse: Warehouse, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = replace(settings, history_url="http://127.0.0.1:9/api/v2")
    with open_exchange(nowhere, patience=0.05) as exchange:
        result = refresh(exchange, warehouse, "BTC")
    assert len(result.failed) == len(KINDS)
    assert "cannot be reached" in result.failed[0]
    assert "A listing of expired instruments could not be fetched" in caplog.text
    assert held(warehouse, clock.now).keys() == {"BTC-PERPETUAL"}


def test_what_the_archive_tells_otherwise_changes_nothing(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse, clock: Clock
) -> None:
    refreshed()
    returned = held(warehouse, clock.now)["BTC-29MAR24"]
    with warehouse.writing() as connection:
        connection.execute(
            "update instruments set tick_size = 7 where instrument_name = 'BTC-29MAR24'"
        )
    clock.forward(timedelta(days=1))
    assert refreshed().changed == ()
    assert held(warehouse, clock.now)["BTC-29MAR24"] == replace(returned, tick_size=7.0)


def test_the_time_of_each_request_for_a_currency_is_kept(
    refreshed: Callable[..., Refreshed], warehouse: Warehouse, clock: Clock
) -> None:
    first = clock.now
    refreshed("BTC")
    clock.forward(timedelta(hours=1))
    assert refreshed("EURR").new == 0
    requested = "select * from instrument_lists order by currency"
    assert rows(warehouse, requested) == [("BTC", first), ("EURR", clock.now)]
    refreshed("BTC")
    assert rows(warehouse, requested) == [("BTC", clock.now), ("EURR", clock.now)]


def test_an_answer_that_is_older_than_what_is_held_changes_nothing(warehouse: Warehouse) -> None:
    newer = specification(recorded("instrument"))
    older = replace(newer, tick_size=1.0)
    with warehouse.writing() as connection:
        write_specifications(connection, [newer], NOON, "")
        written = write_specifications(connection, [older], NOON - timedelta(hours=1), "")
    assert (written.new, written.changed, written.unchanged) == (0, (), 1)
    assert held(warehouse, NOON) == {"BTC-PERPETUAL": newer}
