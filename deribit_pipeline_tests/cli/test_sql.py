"""`sql` prints whole values of a query in UTC, as a table, CSV or JSON."""

import csv
import io
import json
import sys
from datetime import date
from pathlib import Path

import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.inserted_rows import hold
from deribit_pipeline_tests.helpers.processes import name_warehouse

INSTANTS = "select timestamptz '2024-01-01 00:00:00+00' + to_hours(i) as at_hour, i / 4 as quarter"
FEW, MANY = f"{INSTANTS} from range(2) t(i)", f"{INSTANTS} from range(2500) t(i)"
WIDE = "select " + ", ".join(f"12345678.25 + {n} as number_{n}" for n in range(12))


@pytest.fixture(autouse=True)
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    warehouse = Warehouse(tmp_path / "warehouse.duckdb", Environment.SANDBOX)
    hold(warehouse, DATASET_DAYS, {"dataset": "trades", "day": date(2024, 1, 1)})
    name_warehouse(monkeypatch, tmp_path / "warehouse.duckdb", tmp_path)
    return warehouse


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> "type[Run]":
    Run.capsys = capsys
    return Run


class Run:
    """One command, with its exit code and output."""

    capsys: pytest.CaptureFixture[str]

    def __init__(self, *arguments: str) -> None:
        self.code = exit_code(["sql", *arguments])
        self.out, self.err = self.capsys.readouterr()


def test_a_query_prints_a_table_in_utc(run: type[Run]) -> None:
    found = run("select dataset, day from dataset_days")
    assert (found.code, found.err) == (0, "")
    assert "│ trades  │ 2024-01-01 │" in found.out
    assert "2024-01-01 01:00:00+00 │    0.25 │" in run(FEW).out


def test_csv_and_json_have_every_row(run: type[Run]) -> None:
    rows = list(csv.reader(io.StringIO(run(MANY, "--csv").out)))
    assert (rows[0], len(rows)) == (["at_hour", "quarter"], 2_501)
    assert rows[2] == ["2024-01-01 01:00:00+00", "0.25"]
    objects = json.loads(run(MANY, "--json").out)
    assert objects[1] == {"at_hour": "2024-01-01 01:00:00+00", "quarter": 0.25}
    assert [each["at_hour"] for each in objects] == [row[0] for row in rows[1:]]
    assert json.loads(run("select 1 where false", "--json").out) == []


def test_a_table_says_where_it_ends(run: type[Run]) -> None:
    found = run(MANY)
    assert found.out.count("2024-") == 1_000
    assert found.err == "The first 1,000 rows; --csv and --json print all of them.\n"


@pytest.mark.parametrize(
    ("double", "shown"),
    [
        ("0.1::double + 0.2::double", "0.3"),
        ("-64123.123456789012::double", "-64123.12346"),
        ("0.00012345678::double", "0.00012345678"),
        ("1.2345678901234e-7::double", "1.23456789e-07"),
        ("12345678901.25::double", "12345678901"),
        ("1e20::double", "1e+20"),
        ("2.0::double", "2.0"),
        ("'-inf'::double", "-inf"),
        ("[1 / 3, null, 0.5]", "[0.3333333333, NULL, 0.5]"),
        ("0.12345678901234::decimal(15, 14)", "0.12345678901234"),
        ("'0.12345678901234'", "0.12345678901234"),
    ],
)
def test_only_a_table_rounds_doubles(run: type[Run], double: str, shown: str) -> None:
    query = f"select {double} as x"
    table, text = run(query).out, run(query, "--csv").out
    assert table.splitlines()[3].strip("│ ") == shown
    (whole,) = list(csv.reader(io.StringIO(text)))[1]
    exact = {"0.3": "0.30000000000000004", "0.3333333333": "0.3333333333333333"}
    assert whole == exact.get(shown, whole)
    assert len(whole) >= len(shown)


def test_a_table_without_rows_says_so(run: type[Run]) -> None:
    found = run("select dataset, day from dataset_days where false")
    assert (found.code, found.err) == (0, "0 rows.\n")
    assert "┃ dataset ┃ day ┃" in found.out
    assert run("select 1 as one where false", "--csv").err == ""


def test_a_query_sees_the_warehouse_alone(run: type[Run]) -> None:
    for how in ((), ("--csv",), ("--json",)):
        assert "found" not in run("show tables", *how).out
        assert "row of the query" not in run("from duckdb_views()", *how).out
    for name in ("found", "text", "output", "connection"):
        error = run(f"from {name}").err
        assert f"Table with name {name} does not exist" in error
        assert "Python" not in error
    assert json.loads(run("select 1 as found, 2 as x", "--json").out) == [{"found": 1, "x": 2}]


def test_json_has_null_for_a_number_that_it_does_not_have(run: type[Run]) -> None:
    query = (
        "select 'nan'::double as nan, ['inf'::double, 1.5] as list, null as nothing, 'é' as text"
    )
    (row,) = json.loads(run(query, "--json").out)
    assert row == {"nan": None, "list": [None, 1.5], "nothing": None, "text": "é"}
    assert run("select null as nothing, 'a,b' as text", "--csv").out == 'nothing,text\n,"a,b"\n'


@pytest.mark.parametrize("columns", ["80", "100", "160"])
@pytest.mark.parametrize("is_terminal", ["0", "1"])
def test_no_value_is_ever_shortened(
    run: type[Run], monkeypatch: pytest.MonkeyPatch, columns: str, is_terminal: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TTY_COMPATIBLE", is_terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    out = run(WIDE).out
    assert all(f"number_{n}" in out and f"{12345678.25 + n}" in out for n in range(12))
    assert max(map(len, out.splitlines())) <= int(columns)


def test_a_wrong_query_is_an_error_with_the_hints_of_duckdb(run: type[Run]) -> None:
    found = run("from dataset_dais")
    assert (found.code, found.out) == (2, "")
    assert "Error: The query cannot be run: Catalog Error" in found.err
    assert 'Did you mean "dataset_days"?' in found.err
    assert run("delete from dataset_days").code == 2
    assert "query must be one query" in run("select 1; select 2").err
    assert "--csv and --json exclude each other" in run("select 1", "--csv", "--json").err


def test_a_query_may_come_from_stdin(run: type[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("select 7 as seven;\n"))
    assert run("-", "--csv").out == "seven\n7\n"
    pivoted = run("pivot dataset_days on state using count(*) group by dataset", "--csv")
    assert pivoted.out == "dataset,x\ntrades,1\n"


def test_nothing_is_printed_of_a_statement_without_rows(run: type[Run]) -> None:
    assert vars(run("set threads = 1")) == {"code": 0, "out": "", "err": ""}


def test_a_missing_warehouse_is_named_with_its_whole_path(
    run: type[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERIBIT_WAREHOUSE", "nowhere.duckdb")
    found = run("select 1")
    assert (found.code, found.out) == (2, "")
    assert f"{tmp_path / 'nowhere.duckdb'} does not exist" in found.err
    assert f"Beside it: {tmp_path / 'warehouse.duckdb'}" in found.err
