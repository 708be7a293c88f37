"""Instruments for nautilus_trader: one row each, in the file and with the columns that its catalog
reads, tested with nautilus_trader 1.221."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from deribit_pipeline.domain.specification import Specification, is_inverse
from deribit_pipeline.errors import UnknownSpecification
from deribit_pipeline.export.part import Part
from deribit_pipeline.instruments.specification_reads import specifications_of
from deribit_pipeline.warehouse.place import Connection

SIZE_DECIMALS = 8
"""Of amounts and volumes. Volumes are sums of amounts and are rounded to as many."""

_NOTHING = b"null"  # the `info` of an instrument, as JSON

# Columns of names are dictionaries, whose indices have this many bits.
_BITS = {"id": 64, "option_kind": 8}
_PLAIN = ("raw_symbol", "strike_price", "margin_init", "margin_maint", "maker_fee", "taker_fee")
_LIMITS = ("max_quantity", "min_quantity", "max_notional", "min_notional", "max_price", "min_price")


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument's specification at the end of a window, and how many decimals the smallest
    price increment has that it ever had."""

    specification: Specification
    price_decimals: int


def instrument_id(instrument_name: str) -> str:
    """The name in nautilus_trader, such as BTC-PERPETUAL.DERIBIT and SOL/USDC-PERPETUAL.DERIBIT: it
    takes a name with an underscore for a spread, and fails at the first order."""
    return f"{instrument_name.replace('_', '/')}.DERIBIT"


def folder_of(kind: str, name: str) -> Path:
    """The folder of an instrument or a bar type in a catalog."""
    return Path("data", kind, name.replace("/", ""))


def instrument_of(part: Part, connection: Connection) -> Instrument:
    """The instrument of a part. Raises UnknownSpecification if its specification is not stored."""
    applied, every = specifications_of(connection, part.series, part.window.end)
    if applied is None:
        raise UnknownSpecification(part.series)
    return Instrument(applied, max(_decimals(tick) for each in every for tick in _ticks(each)))


def write_instrument(instrument: Instrument, decimals: int, folder: Path) -> Path:
    """Write the instrument, whose prices have so many decimals; returns the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind, row = _row(instrument.specification, decimals)
    schema = pa.schema(
        [pa.field(name, _type(name, value)) for name, value in row.items()],
        metadata={"class": kind},
    )
    listed = instrument.specification.listed_at
    moment = f"{listed:%Y-%m-%dT%H-%M-%S}-{listed.microsecond * 1_000:09d}Z"
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind)[1:]
    file: Path = folder / folder_of(snake, row["id"]) / f"{moment}_{moment}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([row], schema=schema), file)
    return file


def _row(each: Specification, decimals: int) -> tuple[str, dict[str, Any]]:
    """The name of the instrument's class in nautilus_trader, and its fields."""
    settles_in = each.settlement_currency or each.quote_currency
    base, quote = {"base_currency": each.base_currency}, {"quote_currency": each.quote_currency}
    underlying = {"underlying": each.base_currency}
    settlement = {"settlement_currency": settles_in, "is_inverse": is_inverse(each.instrument_name)}
    span = {"activation_ns": _ns(each.listed_at), "expiration_ns": _ns(each.expires_at)}
    middle: Mapping[str, object]
    if each.kind == "spot":
        kind, middle = "CurrencyPair", base | quote
    elif each.kind == "option":
        # Priced in the currency that it settles in: its value is a product, not a quotient.
        option = {"option_kind": str(each.option_type).upper(), "strike_price": _text(each.strike)}
        kind = "CryptoOption"
        middle = underlying | quote | settlement | {"is_inverse": False} | option | span
    elif each.expires_at is None:
        kind, middle = "CryptoPerpetual", base | quote | settlement
    else:
        kind, middle = "CryptoFuture", underlying | quote | settlement | span
    lot = {"lot_size": None} if kind == "CurrencyPair" else {}
    name = each.instrument_name
    return kind, {
        "id": instrument_id(name),
        "raw_symbol": name,
        **middle,
        "price_precision": decimals,
        "size_precision": SIZE_DECIMALS,
        "price_increment": f"{_finest(each):.{decimals}f}",
        "size_increment": f"{each.min_trade_amount:.{SIZE_DECIMALS}f}",
        "multiplier": "1",  # amounts are in the currency of the volume, not in contracts
        **lot,
        **dict.fromkeys(_LIMITS),
        "min_quantity": f"{each.min_trade_amount:.{SIZE_DECIMALS}f}",
        "margin_init": _text(1 / each.max_leverage if each.max_leverage else 0.0),
        "margin_maint": "0",
        "maker_fee": _text(each.maker_commission),
        "taker_fee": _text(each.taker_commission),
        "info": _NOTHING,
        "ts_event": _ns(each.listed_at),
        "ts_init": _ns(each.listed_at),
    }


def _type(name: str, value: object) -> Any:
    import pyarrow as pa

    if name.endswith("_precision"):
        return pa.uint8()
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, bytes):
        return pa.binary()
    if isinstance(value, int):
        return pa.uint64()
    if name in _PLAIN:
        return pa.string()
    return pa.dictionary(getattr(pa, f"int{_BITS.get(name, 16)}")(), pa.string())


def _ticks(each: Specification) -> Sequence[float]:
    return [each.tick_size, *(step["tick_size"] for step in json.loads(each.tick_size_steps))]


def _finest(each: Specification) -> float:
    return min(_ticks(each))


def _decimals(value: float) -> int:
    exponent = Decimal(str(value)).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def _text(value: float | None) -> str:
    return f"{Decimal(str(value or 0.0)).normalize():f}"


def _ns(moment: datetime | None) -> int:
    return 0 if moment is None else round(moment.timestamp()) * 1_000_000_000
