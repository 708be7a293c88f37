"""What the errors of the reader suggest where a series or its days are missing."""

import pytest

from deribit_pipeline import read
from deribit_pipeline.errors import IncompleteDays
from deribit_pipeline_tests.helpers.demo_rows import NAMES
from deribit_pipeline_tests.reader.conftest import Plant

BTC = NAMES[0]
FIRST, LAST = "2024-01-01", "2024-01-13"


def test_a_known_name_is_never_asked_for_another(change: Plant) -> None:
    """Whatever is missing of it: a resolution, a dataset, or what was stored by a moment."""
    change(
        "delete from instruments",
        "delete from instrument_lists",
        "insert into candle_days by name select * replace ('60' as resolution) from candle_days "
        "where instrument_name = 'ETH-PERPETUAL'",
        "delete from candle_days where resolution = '1' and day = '2024-01-03'",
        "delete from dataset_days where series = 'BTC-PERPETUAL'",
    )
    for select in (
        lambda: read.candles(BTC, FIRST, LAST, "1h"),
        lambda: read.candles(BTC, FIRST, LAST, "5m"),
        lambda: read.candles(BTC, FIRST, LAST, "1h", as_of="2024-01-20"),
        lambda: read.funding(BTC, FIRST, LAST),
        lambda: read.trades(BTC, FIRST, LAST),
    ):
        with pytest.raises(IncompleteDays) as error:
            select()
        assert "Did you mean" not in str(error.value)
    with pytest.raises(IncompleteDays, match="Did you mean BTC-PERPETUAL"):
        read.trades("BTC-PERPETUL", FIRST, LAST)


@pytest.mark.parametrize("listed", [True, False])
def test_where_settlements_are_missing_the_error_of_open_interest_says_what_gives_them(
    change: Plant, listed: bool
) -> None:
    change("delete from settlements", "delete from dataset_days where dataset = 'settlements'")
    if not listed:
        change("delete from instruments", "delete from instrument_lists")
    fetch = r"fetch them with deribit-pipeline backfill \(settlements of BTC from 2024-01-01 to"
    for name in (BTC, [BTC, "BTC-PERPETUAL"], "BTC-PERPETUAL,BTC-PERPETUAL"):
        with pytest.raises(IncompleteDays, match=fetch):
            read.open_interest(name, FIRST, LAST)
    assert read.open_interest(BTC, FIRST, LAST, complete_only=False).empty
