"""The export for nautilus_trader: bars and instruments, as its BacktestNode reads them."""

import importlib.util
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from deribit_pipeline import read
from deribit_pipeline.export import nautilus
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.export.test_export import (
    BTC,
    DAYS,
    NEW_YEAR,
    SOL,
    Export,
    everything,
    export,
    specification,
)
from deribit_pipeline_tests.helpers.inserted_rows import hold, hold_minutes

__all__ = ["export"]  # a fixture

OPTION = "BTC-26JAN24-45000-C"
SPAN = {"expires_at": datetime(2024, 1, 26, 8, tzinfo=UTC)}
NAMES = "dictionary<values=string, indices=int16, ordered=0>"
END = [
    ("price_precision", "uint8"), ("size_precision", "uint8"), ("price_increment", NAMES),
    ("size_increment", NAMES), ("multiplier", NAMES), ("max_quantity", NAMES),
    ("min_quantity", NAMES), ("max_notional", NAMES), ("min_notional", NAMES),
    ("max_price", NAMES), ("min_price", NAMES), ("margin_init", "string"),
    ("margin_maint", "string"), ("maker_fee", "string"), ("taker_fee", "string"),
    ("info", "binary"), ("ts_event", "uint64"), ("ts_init", "uint64"),
]  # fmt: skip
BEGIN = [("id", NAMES.replace("int16", "int64")), ("raw_symbol", "string")]
SETTLED = [("settlement_currency", NAMES), ("is_inverse", "bool")]
TIMES = [("activation_ns", "uint64"), ("expiration_ns", "uint64")]
PAIR = [("base_currency", NAMES), ("quote_currency", NAMES)]
DERIVED = [("underlying", NAMES), ("quote_currency", NAMES), *SETTLED]
RIGHT = [("option_kind", NAMES.replace("int16", "int8")), ("strike_price", "string")]
KINDS = {
    BTC: ("crypto_perpetual", "CryptoPerpetual", [*PAIR, *SETTLED]),
    "BTC-26JAN24": ("crypto_future", "CryptoFuture", [*DERIVED, *TIMES]),
    OPTION: ("crypto_option", "CryptoOption", [*DERIVED, *RIGHT, *TIMES]),
    "BTC_USDC": ("currency_pair", "CurrencyPair", PAIR),
}
"""By instrument, the folder, the class and the columns that nautilus_trader 1.221 reads."""


def instrument(name: str, to: str = "out") -> Any:
    """The row of the instrument in the catalog, as a dictionary."""
    files = [file for file in Path(to).rglob("*.parquet") if file.parts[-2] == f"{name}.DERIBIT"]
    [row] = [row for file in files for row in pq.read_table(file).to_pylist()]
    return row


def hold_specifications(warehouse: Warehouse, *rows: dict[str, object]) -> None:
    with warehouse.writing() as connection:
        connection.execute("delete from instruments")
    hold(warehouse, INSTRUMENTS, *rows)


def test_nautilus_is_given_bars_stamped_with_their_end(export: Export) -> None:
    assert export("--instruments", BTC, *DAYS, "--resolution", "60", name="nautilus")[0] == 0
    bar_type = "BTC-PERPETUAL.DERIBIT-1-HOUR-LAST-EXTERNAL"
    [file] = Path(f"out/data/bar/{bar_type}").iterdir()
    assert file.name == "2024-04-07T01-00-00-000000000Z_2024-04-10T00-00-00-000000000Z.parquet"
    table = pq.read_table(file)
    returned = read.candles(BTC, "2024-04-07", "2024-04-09", "60")
    output = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert output == {
        "bar_type": bar_type, "instrument_id": "BTC-PERPETUAL.DERIBIT", "price_precision": "1",
        "size_precision": "8",
    }  # fmt: skip
    for name, values in (("open", returned["open"]), ("volume", returned["volume_quote"])):
        raw = [int.from_bytes(each, "little", signed=True) for each in table[name].to_pylist()]
        assert raw == [round(value * 1e8) * 10**8 for value in values]
    ended_ns = (returned.index + pd.Timedelta(hours=1)).as_unit("ns").asi8.tolist()
    assert table["ts_event"].to_pylist() == table["ts_init"].to_pylist() == ended_ns
    assert [str(each.type) for each in table.schema][:5] == ["fixed_size_binary[16]"] * 5
    assert not any(each.nullable for each in table.schema)


@pytest.mark.parametrize("name", KINDS)
def test_nautilus_is_given_the_instrument_of_the_bars(
    export: Export, sound: Warehouse, name: str
) -> None:
    folder, kind, columns = KINDS[name]
    other: dict[str, object] = {
        "CryptoFuture": SPAN,
        "CryptoOption": {
            "kind": "option", "strike": 45_000.0, "option_type": "call", "quote_currency": "BTC",
        } | SPAN,
        "CurrencyPair": {"kind": "spot", "quote_currency": "USDC", "settlement_currency": None},
    }.get(kind, {})  # fmt: skip
    hold_specifications(sound, specification(name, **other))
    hold_minutes(sound, name, date(2024, 1, 1), np.full((1_440, 4), 2_000.5))
    assert export("--instruments", name, *NEW_YEAR, name="nautilus")[0] == 0
    [file] = Path("out/data", folder).rglob("*.parquet")
    identifier = name.replace("_", "/") + ".DERIBIT"
    assert file.parent.name == identifier.replace("/", "")
    assert file.name == "2018-08-14T00-00-00-000000000Z_2018-08-14T00-00-00-000000000Z.parquet"
    table = pq.read_table(file)
    assert table.schema.metadata == {b"class": kind.encode()}
    end = [*END[:5], ("lot_size", NAMES), *END[5:]] if kind == "CurrencyPair" else END
    assert [(each.name, str(each.type)) for each in table.schema] == [*BEGIN, *columns, *end]
    [row] = table.to_pylist()
    assert row.items() >= {
        "id": identifier, "raw_symbol": name, "price_precision": 1, "price_increment": "0.5",
        "size_precision": 8, "size_increment": "10.00000000", "taker_fee": "0.0005",
        "margin_init": "0.02",
    }.items()  # fmt: skip


def test_an_option_is_priced_in_its_coin(export: Export, sound: Warehouse) -> None:
    option = {"kind": "option", "strike": 45_000.0, "option_type": "call", "quote_currency": "BTC"}
    hold_specifications(sound, specification(OPTION, **option, **SPAN))
    hold_minutes(sound, OPTION, date(2024, 1, 1), np.full((1_440, 4), 0.05))
    export("--instruments", OPTION, *NEW_YEAR, name="nautilus")
    assert instrument(OPTION).items() >= {
        "underlying": "BTC", "quote_currency": "BTC", "settlement_currency": "BTC",
        "is_inverse": False, "option_kind": "CALL", "strike_price": "45000",
        "expiration_ns": 1_706_256_000_000_000_000,
    }.items()  # fmt: skip


def test_a_name_with_an_underscore_is_no_spread(export: Export) -> None:
    """nautilus_trader takes any symbol with an underscore for one."""
    assert export("--instruments", SOL, *DAYS, "--resolution", "60", name="nautilus")[0] == 0
    [bars] = Path("out/data/bar").iterdir()
    assert bars.name == "SOLUSDC-PERPETUAL.DERIBIT-1-HOUR-LAST-EXTERNAL"
    [file] = bars.iterdir()
    metadata = pq.read_schema(file).metadata
    assert metadata[b"bar_type"] == b"SOL/USDC-PERPETUAL.DERIBIT-1-HOUR-LAST-EXTERNAL"
    assert instrument("SOLUSDC-PERPETUAL")["id"] == "SOL/USDC-PERPETUAL.DERIBIT"


def test_the_specification_is_that_of_the_end_of_the_window(
    export: Export, sound: Warehouse
) -> None:
    changed = datetime(2024, 4, 9, 12, tzinfo=UTC)
    hold_specifications(
        sound,
        specification(BTC, taker_commission=0.0005, valid_to=changed),
        specification(BTC, taker_commission=0.0004, valid_from=changed, tick_size=0.25),
    )
    for last, fee in (("2024-04-08", "0.0005"), ("2024-04-09", "0.0004")):
        days = ("--start", "2024-04-07", "--end", last)
        assert export("--instruments", BTC, *days, name="nautilus", to=last)[0] == 0
        row = instrument(BTC, last)
        assert row["taker_fee"] == fee
        # The precision is that of the finest increment ever, so that all exports agree.
        assert row["price_precision"] == 2


def test_bars_of_two_precisions_are_refused(export: Export, sound: Warehouse) -> None:
    assert export("--instruments", BTC, *DAYS, "--resolution", "60", name="nautilus")[0] == 0
    before = everything("out")
    hold_specifications(
        sound, specification(BTC, tick_size_steps='[{"above_price": 9, "tick_size": 0.005}]')
    )
    code, output = export("--instruments", BTC, *DAYS, "--resolution", "5", name="nautilus")
    assert (code, everything("out")) == (2, before)
    assert "prices of 1 and 3 decimals, which nautilus_trader refuses" in output


def test_bars_written_in_pieces_are_the_same_file(
    export: Export, sound: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = np.full((1_440, 4), 2_000.0)
    prices[-1] = 2_000.125  # decides the precision of all
    hold_minutes(sound, "BTC-27DEC24", date(2024, 1, 1), prices)
    monkeypatch.setattr(nautilus, "_ROWS_PER_GROUP", 100)
    for rows in (100, 600, 60_000):
        monkeypatch.setattr(nautilus, "_ROWS_AT_ONCE", rows)
        named = ("--instruments", "BTC-27DEC24", *NEW_YEAR)
        assert export(*named, name="nautilus", to=f"by {rows}")[0] == 0
    assert everything("by 100") == everything("by 600") == everything("by 60000")
    [bars] = Path("by 100/data/bar").rglob("*.parquet")
    assert bars.name == "2024-01-01T00-01-00-000000000Z_2024-01-02T00-00-00-000000000Z.parquet"
    assert pq.read_schema(bars).metadata[b"price_precision"] == b"3"


def test_a_combo_has_no_instrument_in_nautilus(export: Export) -> None:
    code, output = export("--instruments", "BTC-FS-26JAN24_PERP", *NEW_YEAR, name="nautilus")
    assert (code, "is a combo, of which nautilus_trader has no instrument" in output) == (2, True)


def test_specifications_that_were_never_requested_are_requested(
    export: Export, sound: Warehouse
) -> None:
    hold_specifications(sound)
    code, output = export("--instruments", BTC, *DAYS, name="nautilus")
    assert (code, "Instruments of BTC: " in output) == (0, True)
    assert instrument(BTC)["taker_fee"] == "0.00035"


def test_nautilus_is_given_large_volumes_as_they_are(export: Export, sound: Warehouse) -> None:
    prices = np.full((1_440, 4), 2_000.0)
    hold_minutes(sound, "BTC-27DEC24", date(2024, 1, 1), prices)
    with sound.writing() as connection:
        connection.execute(
            "update candles set volume_quote = 123456789012.5 where instrument_name = 'BTC-27DEC24'"
        )
    assert export("--instruments", "BTC-27DEC24", *NEW_YEAR, name="nautilus")[0] == 0
    [file] = Path("out/data/bar").rglob("*.parquet")
    raw: Any = pq.read_table(file)["volume"].to_pylist()[0]
    assert int.from_bytes(raw, "little", signed=True) == 1234567890125 * 10**15


@pytest.mark.skipif(not importlib.util.find_spec("nautilus_trader"), reason="is not installed")
def test_a_backtest_node_trades_on_the_catalog(export: Export) -> None:
    from nautilus_trader.backtest.config import (
        BacktestDataConfig,
        BacktestEngineConfig,
        BacktestRunConfig,
        BacktestVenueConfig,
    )
    from nautilus_trader.backtest.node import BacktestNode
    from nautilus_trader.config import ImportableStrategyConfig, LoggingConfig
    from nautilus_trader.model.data import Bar
    from nautilus_trader.persistence.catalog import ParquetDataCatalog

    for name in (BTC, SOL):
        export("--instruments", name, *DAYS, name="nautilus")
    returned = read.candles(BTC, "2024-04-07", "2024-04-09")
    catalog = ParquetDataCatalog("out")
    bars = catalog.bars(instrument_ids=["BTC-PERPETUAL.DERIBIT"])
    assert [float(bar.close) for bar in bars] == returned["close"].tolist()
    for each in catalog.instruments():
        crossing = "nautilus_trader.examples.strategies.ema_cross:EMACross"
        bar_type = f"{each.id}-1-MINUTE-LAST-EXTERNAL"
        strategy = ImportableStrategyConfig(
            strategy_path=crossing,
            config_path=f"{crossing}Config",
            config={"instrument_id": str(each.id), "bar_type": bar_type, "trade_size": "10"},
        )
        venue = BacktestVenueConfig(
            name="DERIBIT", oms_type="NETTING", account_type="MARGIN",
            starting_balances=["100 BTC", "100 SOL", "100_000 USDC"],
        )  # fmt: skip
        data = BacktestDataConfig(
            catalog_path="out", data_cls=Bar, instrument_id=each.id, bar_spec="1-MINUTE-LAST"
        )
        logging = LoggingConfig(bypass_logging=True)
        engine = BacktestEngineConfig(logging=logging, strategies=[strategy])
        node = BacktestNode([BacktestRunConfig(engine=engine, venues=[venue], data=[data])])
        [result] = node.run()
        assert result.total_orders > 0
