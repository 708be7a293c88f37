"""Previews of what a run has stored: the smiles of each currency's newest snapshot."""

from deribit_pipeline.datasets.book_summaries.smile_reads import OPTIONS, Smiles, smiles_at
from deribit_pipeline.domain.windows import day_window
from deribit_pipeline.engine.jobs import Days
from deribit_pipeline.engine.previews import Curves
from deribit_pipeline.warehouse.warehouse import Warehouse

_MOST_CURRENCIES = 3
_STRIKE, _IV = OPTIONS.index("strike"), OPTIONS.index("mark_iv")


def previews(warehouse: Warehouse, days: Days) -> list[Curves]:
    """The smiles of the first currencies of a backfill, at the end of its last day."""
    found = []
    with warehouse.reading() as connection:
        for currency, some in list(days.items())[:_MOST_CURRENCIES]:
            smiles = smiles_at(connection, currency, day_window(max(some)).end)
            if smiles is not None and smiles.snapshot_at.date() in some:
                found += _curves(smiles)
    return found


def _curves(smiles: Smiles) -> list[Curves]:
    """Those of each index."""
    found: dict[object, dict[str, list[tuple[float, float]]]] = {}
    for row in smiles.options:
        index_name, expiry = row[0], str(row[OPTIONS.index("expiry")])
        point = (float(str(row[_STRIKE])), float(str(row[_IV])))
        found.setdefault(index_name, {}).setdefault(expiry, []).append(point)
    at = f"{smiles.snapshot_at:%Y-%m-%d %H:%M} UTC"
    return [
        Curves(f"{index_name}, {at}: volatility by strike, percent a year", curves)
        for index_name, curves in found.items()
    ]
