"""Volumes of rebuilt candles are null where a price may be 0 or negative, and never infinite."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from deribit_pipeline.datasets.candles_rebuilt import CANDLES_REBUILT
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.proofs import CrossCheck
from deribit_pipeline.domain.specification import COMBO, INVERSE
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.backfill_days import ForegroundBackfill
from deribit_pipeline.engine.jobs import Job
from deribit_pipeline.engine.proof_reads import proofs, proofs_of
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.made_up_trades import every_minute
from deribit_pipeline_tests.warehouse.golden.held import golden

DAY = date(2024, 3, 2)
COMBO_NAME, NAME = "BTC-FS-29MAR24_PERP", "BTC-PERPETUAL"
VOLUMES = "select volume_base, volume_quote from candles_rebuilt order by opened_at"


class Made:
    """Backfills trades that a test gives, and the candles of them."""

    def __init__(self, exchange: Exchange, warehouse: Warehouse, sandbox: SandboxExchange) -> None:
        self.warehouse, self.sandbox = warehouse, sandbox
        self._backfill = ForegroundBackfill(exchange, warehouse)

    def rebuilt(self, name: str, first: date, last: date) -> list[str]:
        days = {name: list(days_between(first, last))}
        for dataset in (TRADES, CANDLES_REBUILT):
            assert not self._backfill.backfill(dataset, Job("a run", days)).failures
        with self.warehouse.reading() as connection:
            made = proofs_of(connection, CANDLES_REBUILT, [name], first, last)
        assert verify(self.warehouse).findings == []
        return [str(proof.state) for proof in made]

    def volumes(self) -> list[tuple[float | None, float | None]]:
        with self.warehouse.reading() as connection:
            return connection.execute(VOLUMES).fetchall()


@pytest.fixture
def made(opened: Callable[..., Exchange], warehouse: Warehouse, sandbox: SandboxExchange) -> Made:
    return Made(opened(), warehouse, sandbox)


@pytest.mark.parametrize("price", [-12.5, 0.0, 250.0])
def test_volumes_of_a_combo_are_null(made: Made, price: float) -> None:
    minutes = every_minute(1, f"{DAY}", 1_600, COMBO_NAME, price=price)
    traded = [each for n, each in enumerate(minutes) if n % 5 != 3]
    numbered = [each | {"trade_seq": number} for number, each in enumerate(traded, 1)]
    made.sandbox.trades.give(COMBO_NAME, numbered)
    assert made.rebuilt(COMBO_NAME, DAY, DAY) == ["complete"]
    assert made.volumes() == [(None, None)] * 1_440


@pytest.mark.parametrize("price", [0.0, -1.0])
def test_a_minute_with_an_impossible_price_has_no_volume_and_the_others_have(
    made: Made, price: float
) -> None:
    given = list(every_minute(1, "2024-03-01T23:00", 1_600))
    given[300]["price"] = price  # at 04:00
    made.sandbox.trades.give(NAME, given)
    assert made.rebuilt(NAME, DAY, DAY) == ["complete"]
    volumes = made.volumes()
    assert volumes[240] == (None, None)
    assert set(volumes[:240] + volumes[241:]) == {(round(10 / 60_000, 8), 10.0)}


def test_an_instrument_without_a_trade_has_no_candles_and_is_complete(made: Made) -> None:
    name, listed = "BTC-29MAR24", date(2023, 3, 30)
    made.sandbox.trades.give(name, [])
    last = listed + timedelta(days=2)
    assert made.rebuilt(name, listed - timedelta(days=1), last) == [
        "not_listed", *["complete"] * 3
    ]  # fmt: skip
    assert made.volumes() == []


def test_the_cross_check_says_how_the_candles_compare(made: Made) -> None:
    made.rebuilt(NAME, DAY, DAY)
    with made.warehouse.reading() as connection:
        selection = Selection((TRADES, CANDLES_REBUILT), (NAME,), DAY, DAY)
        held = proofs(connection, selection)
    found = {proof.dataset: proof.cross_check for some in held.values() for proof in some}
    assert found == {"trades": CrossCheck.AGREES, "candles_rebuilt": CrossCheck.NONE}


def test_names_tell_combos_and_what_is_traded_in_usd() -> None:
    with duckdb.connect() as connection:
        for listing in LISTINGS:
            [(is_combo, is_inverse)] = connection.execute(
                f"select regexp_matches($name, '{COMBO}'), regexp_matches($name, '{INVERSE}')",
                {"name": listing.instrument_name},
            ).fetchall()
            assert is_combo == listing.kind.endswith("combo"), listing
            in_usd = listing.kind in ("future", "future_combo") and not listing.is_linear
            assert is_inverse == in_usd, listing


def test_volumes_may_be_null_in_a_warehouse_of_the_former_version(tmp_path: Path) -> None:
    former = golden(4, tmp_path)
    with former.writing() as connection:
        columns = connection.execute(
            "select column_name, is_nullable from duckdb_columns() "
            "where table_name = 'candles_rebuilt' and column_name like 'volume%' order by all"
        ).fetchall()
    assert columns == [("volume_base", True), ("volume_quote", True)]
