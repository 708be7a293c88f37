"""`verify` names everything that was changed in a warehouse by SQL."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.engine.verification import Verification, verify
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import every_store
from deribit_pipeline_tests.warehouse.golden.held import golden

_SWAP = "case instrument_name when 'BTC-PERPETUAL' then 'ETH-PERPETUAL' else 'BTC-PERPETUAL' end"
_OF_PAIR = "where instrument_name in ('BTC-PERPETUAL', 'ETH-PERPETUAL') and resolution = '1'"
_OF_CANDLES = ("candles", "candle_days", "candle_gaps", "candle_arrivals", "candle_revisions")
_BTC = "instrument_name = 'BTC-PERPETUAL' and resolution = '1'"
_DAY = "day = '2024-04-08'"
_THAT_DAY = f"update candle_days set {{}} where {_BTC} and {_DAY}"
_FUNDING = "dataset = 'funding_rates' and series = 'BTC-PERPETUAL'"
_CONTENT = "content_hash is "
_BOUND = "the hash of its proof does not cover its proof, gaps, arrivals and revisions"
_SERIES = "days are held"

TAMPERINGS: dict[str, tuple[Sequence[str], str]] = {
    # rows
    "a changed value": (
        [f"update candles set close = close + 0.5 where {_BTC} and minute(opened_at) = 7"],
        _CONTENT,
    ),
    "a changed value of a dataset": (
        ["update funding_rates set interest_1h = 0 where hour(funded_at) = 7"], _CONTENT,
    ),
    "a removed row": (
        [f"delete from candles where {_BTC} and opened_at = '2024-04-08 10:00:00+00'"], _CONTENT,
    ),
    "rows written twice": (["insert into candles from candles"], _CONTENT),
    "a row moved to another day": (
        [f"update candles set opened_at = opened_at + interval 1 day "
         f"where {_BTC} and opened_at = '2024-04-08 10:00:00+00'"],
        _CONTENT,
    ),
    "rows of two days exchanged": (
        [f"update candles set opened_at = opened_at + case cast(opened_at as date) "
         f"when '2024-04-07' then interval 1 day else interval (-1) day end "
         f"where {_BTC} and cast(opened_at as date) in ('2024-04-07', '2024-04-08')"],
        _CONTENT,
    ),
    "candles without a proof": (
        ["insert into candles select * replace ('XRP' as instrument_name) from candles "
         f"where {_BTC}"],
        "have no proof",
    ),
    # what is what
    "two instruments exchanged with their proofs": (
        [f"update {table} set instrument_name = {_SWAP} {_OF_PAIR}" for table in _OF_CANDLES],
        _BOUND,
    ),
    "a series renamed with its proofs": (
        [f"update {table} set instrument_name = 'BTC-29MAR24' where {_BTC}"
         for table in _OF_CANDLES],
        _BOUND,
    ),
    "hours taken for another resolution": (
        [f"update {table} set resolution = '30' where resolution = '60'" for table in _OF_CANDLES],
        _BOUND,
    ),
    "a day moved with its proof": (
        [f"update candles set opened_at = opened_at + interval 40 day where {_BTC} "
         "and cast(opened_at as date) = '2024-04-08'",
         f"update candle_days set day = day + 40 where {_BTC} and {_DAY}",
         f"update candle_arrivals set day = day + 40, first_opened_at = first_opened_at + "
         f"interval 40 day, last_opened_at = last_opened_at + interval 40 day "
         f"where {_BTC} and {_DAY}"],
        _BOUND,
    ),
    # proofs
    "a gapped day made complete": (
        ["update candle_days set state = 'complete', expected = received, missing = 0 "
         "where state = 'gapped'", "delete from candle_gaps"],
        _BOUND,
    ),
    "an open day made complete": (
        ["update candle_days set state = 'complete', expected = received where state = 'open'"],
        _BOUND,
    ),
    "a complete day made open": ([_THAT_DAY.format("state = 'open'")], _BOUND),
    "expected rows changed": (
        ["update candle_days set expected = expected + 24 where state = 'open'"], _BOUND,
    ),
    "expected rows of a dataset changed": (
        ["update dataset_days set expected = expected + 1 where state = 'open'"], _BOUND,
    ),
    "received rows changed": ([_THAT_DAY.format("received = received - 1")], "received is 1440"),
    "a day that was never listed": (
        ["insert into candle_days select * replace (date '2024-05-01' as day, 'not_listed' as "
         "state, 0 as expected, 0 as received, 0 as without_trades, "
         "'cae66941d9efbd404e4d88758ea67670' as content_hash) "
         f"from candle_days where {_BTC} and {_DAY}"],
        _BOUND,
    ),
    "a not listed day made open": (
        ["update candle_days set state = 'open', expected = 24 where state = 'not_listed'"],
        _BOUND,
    ),
    "a listed day made not listed": (
        [f"delete from candles where {_BTC} and cast(opened_at as date) = '2024-04-08'",
         _THAT_DAY.format(
             "state = 'not_listed', expected = 0, received = 0, without_trades = 0, "
             "content_hash = 'cae66941d9efbd404e4d88758ea67670'"
         ),
         f"delete from candle_arrivals where {_BTC} and {_DAY}"],
        _BOUND,
    ),
    "when it was fetched": (
        [_THAT_DAY.format("fetched_at = fetched_at - interval 1 day")], _BOUND,
    ),
    "when a dataset was fetched": (
        [f"update dataset_days set fetched_at = fetched_at - interval 1 day where {_FUNDING}"],
        _BOUND,
    ),
    "the environment": (
        ["update candle_days set environment = 'mainnet'"], "its proof is of mainnet",
    ),
    "the source": (["update dataset_days set source = 'https://www.deribit.com/api/v2'"], _BOUND),
    "the run": (["update candle_days set run_id = 'another'"], _BOUND),
    "a verdict": ([_THAT_DAY.format("verdict = 'all is well'")], _BOUND),
    "a verdict of a dataset": (
        ["update dataset_days set verdict = '' where verdict <> ''"], _BOUND,
    ),
    "a cross-check": ([_THAT_DAY.format("cross_check = 'agrees'")], _BOUND),
    "the number of revisions": (["update candle_days set revised = 0 where revised > 0"], _BOUND),
    "the hash of a proof": ([_THAT_DAY.format("proof_hash = 'x'")], _BOUND),
    "a state that is none": ([_THAT_DAY.format("state = 'fine'")], "which no version writes"),
    "a resolution that is none": (
        ["update candles set resolution = '7' where resolution = '60'"], "which no version writes",
    ),
    # days
    "a removed day": (
        [f"delete from candles where {_BTC} and cast(opened_at as date) = '2024-04-08'",
         f"delete from candle_days where {_BTC} and {_DAY}",
         f"delete from candle_arrivals where {_BTC} and {_DAY}"],
        _SERIES,
    ),
    "removed days of a dataset": (
        ["delete from trades where cast(traded_at as date) = '2024-01-03'",
         "delete from dataset_days where dataset = 'trades' and day = '2024-01-03'"],
        _SERIES,
    ),
    "a removed series": (
        [f"delete from {table} where {_BTC}" for table in _OF_CANDLES], _SERIES,
    ),
    "a removed proof": ([f"delete from candle_days where {_BTC} and {_DAY}"], "have no proof"),
    "two proofs of a day": (["insert into candle_days from candle_days"], "has two proofs"),
    "the record of a series": (["delete from series_proofs"], _SERIES),
    "a changed record of a series": (
        ["update series_proofs set proofs_hash = replace(proofs_hash, 'a', 'b')"],
        "other days are held",
    ),
    # gaps, arrivals, revisions
    "the name of a gap": (
        ["update candle_gaps set opened_at = opened_at + interval 1 hour"], _BOUND,
    ),
    "the name of a gap of a dataset": (
        ["update dataset_gaps set gap = replace(gap, '2024', '2023')"], _BOUND,
    ),
    "how often a gap was confirmed": (["update candle_gaps set confirmed = 99"], _BOUND),
    "a gap that is none": (
        ["insert into candle_gaps values "
         "('BTC-PERPETUAL', '1', '2024-04-08 10:00:00+00', 1, now())"],
        _BOUND,
    ),
    "arrivals moved back in time": (
        ["update candle_arrivals set arrived_at = arrived_at - interval 1 day"], _BOUND,
    ),
    "a removed arrival": ([f"delete from candle_arrivals where {_BTC} and {_DAY}"], _BOUND),
    "an invented arrival": (
        ["insert into candle_arrivals select * replace (arrived_at - interval 9 day as arrived_at) "
         f"from candle_arrivals where {_BTC} and {_DAY}"],
        _BOUND,
    ),
    "an arrival of a day without a proof": (
        ["insert into candle_arrivals select * replace (day - 90 as day) from candle_arrivals "
         f"where {_BTC} and {_DAY}"],
        "candle_arrivals has rows of it, and it has no proof",
    ),
    "an invented revision": (
        ["insert into candle_revisions select candles.*, opened_at, now(), 'a run' from candles "
         f"where {_BTC} and opened_at = '2024-04-08 10:00:00+00'"],
        _BOUND,
    ),
    "an invented revision of a day without a proof": (
        ["insert into candle_revisions select * replace (opened_at - interval 90 day as opened_at) "
         "from candle_revisions"],
        "candle_revisions has rows of it, and it has no proof",
    ),
    "a changed revision": (["update candle_revisions set close = close + 1"], _BOUND),
    "a removed revision": (["delete from candle_revisions"], _BOUND),
    "an invented revision of a dataset": (
        ["insert into dataset_revisions select * replace (row_key || '1' as row_key) "
         "from dataset_revisions"],
        _BOUND,
    ),
    "a changed revision of a dataset": (
        ["update dataset_revisions set held = replace(held, '2024', '2023')"], _BOUND,
    ),
    "a removed revision of a dataset": (["delete from dataset_revisions"], _BOUND),
    # tables, views, macros
    "a replaced view": (
        ["create or replace view complete_candles as from candles"],
        "the view complete_candles is not the one that this version makes",
    ),
    "a removed view": (["drop view complete_candles"], "the view complete_candles is missing"),
    "a replaced macro": (
        ["create or replace macro candles_as_of(moment) as table from candles"],
        "the macro candles_as_of is not the one that this version makes",
    ),
    "a table that was renamed": (
        ["alter table failed_days rename to others", "create view failed_days as from others"],
        "the table failed_days is missing",
    ),
    "another column": (
        ["alter table failed_days add column more integer"],
        "the table failed_days is not the one that this version makes",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with days of every dataset, whose hashes its migration made."""
    warehouse = golden(4, tmp_path_factory.mktemp("golden"))
    with warehouse.writing():
        pass
    assert isinstance(warehouse.location, Path)
    return warehouse.location


@pytest.fixture
def held(migrated: Path, tmp_path: Path) -> Warehouse:
    return Warehouse(Path(shutil.copy(migrated, tmp_path / "held.duckdb")), Environment.SANDBOX)


def tampered(warehouse: Warehouse, statements: Sequence[str]) -> Verification:
    with warehouse.writing() as connection:
        for statement in statements:
            connection.execute(statement)
    return verify(warehouse)


def sentences(result: Verification) -> str:
    return "\n".join(
        [*result.problems, *("; ".join(finding.contradictions) for finding in result.findings)]
    )


@pytest.mark.parametrize("what", TAMPERINGS)
def test_what_is_tampered_with_is_named(what: str, held: Warehouse) -> None:
    statements, sentence = TAMPERINGS[what]
    found = tampered(held, statements)
    assert found.found
    assert sentence in sentences(found)


def test_a_macro_in_the_place_of_a_function_of_duckdb_is_named(held: Warehouse) -> None:
    found = tampered(held, ["create macro sum(x) as 0"])
    assert found.problems == ["the macro sum takes the place of DuckDB's own function"]


def test_views_and_macros_of_others_are_theirs(held: Warehouse) -> None:
    added = ["create view mine as from candles", "create macro twice(x) as 2 * x"]
    assert sentences(tampered(held, added)) == ""


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("update warehouse_info set environment = 'mainnet'", "is the warehouse of mainnet"),
        ("update warehouse_info set schema_version = 99", "upgrade deribit-pipeline"),
        ("update warehouse_info set schema_version = 4", "already exists"),
        ("insert into warehouse_info from warehouse_info", "does not state what it is"),
        ("delete from warehouse_info", "does not state what it is"),
    ],
)
def test_what_a_warehouse_says_of_itself_cannot_be_changed(
    statement: str, sentence: str, held: Warehouse
) -> None:
    with pytest.raises(WarehouseError, match=sentence):
        tampered(held, [statement])


def test_a_warehouse_that_changes_its_environment_keeps_the_proofs_of_the_other(
    held: Warehouse,
) -> None:
    with held.writing() as connection:
        connection.execute("update warehouse_info set environment = 'mainnet'")
    found = verify(warehouse_at(held.location, Environment.MAINNET))
    assert "its proof is of sandbox" in sentences(found)


@every_store
@pytest.mark.parametrize(
    "statement",
    [
        "update candle_days set state = 'open' where resolution = '60'",
        "update candle_arrivals set arrived_at = arrived_at - interval 1 day",
        "create or replace view complete_candles as from candles",
    ],
)
def test_a_lake_is_bound_as_a_file_is(
    sound: Warehouse, plant: Callable[[str], None], statement: str
) -> None:
    assert sentences(verify(sound)) == ""
    plant(statement)
    assert verify(sound).found


def test_a_migrated_warehouse_has_a_hash_for_each_proof(held: Warehouse) -> None:
    assert sentences(verify(held)) == ""
    with held.reading() as connection:
        for table in ("candle_days", "dataset_days"):
            query = f"select count(*), count(*) filter (length(proof_hash) = 32) from {table}"
            [(proofs, hashed)] = connection.execute(query).fetchall()
            assert proofs == hashed > 0
