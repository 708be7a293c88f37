"""The public API: few names, typed, and cheap to import."""

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import deribit_pipeline
from deribit_pipeline import read
from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.errors import InputError
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.inserted_rows import hold
from deribit_pipeline_tests.helpers.processes import name_warehouse

ROOT = Path(__file__).parents[2]

USER_PROGRAM = """
from datetime import UTC, date, datetime
import deribit_pipeline
from deribit_pipeline import IncompleteDays, read

day = date(2024, 1, 31)
reveal_type(read.candles("BTC-PERPETUAL", "2024-01-01", day))
reveal_type(read.candles("BTC-PERPETUAL", day, day, "60", as_of=day, frame="pandas"))
reveal_type(read.funding("BTC-PERPETUAL", day, day, frame="polars"))
reveal_type(read.trades("BTC-PERPETUAL", day, day, frame="arrow"))
reveal_type(read.trades("BTC-PERPETUAL", day, recorded=True, complete_only=False))
reveal_type(read.rows("settlements", "BTC", day, day))
reveal_type(read.volatility_index("BTC", day, day, "60", frame="polars"))
reveal_type(read.candles(["BTC-PERPETUAL", "ETH-PERPETUAL"], day, resolution=240, label="close"))
reveal_type(read.instruments(as_of=day, frame="polars"))
reveal_type(read.sql("from candles", frame="arrow"))
reveal_type(read.volatility_cone("BTC-PERPETUAL", day, windows=[24], warehouse="a file"))
reveal_type(read.historical_prices("BTC-PERPETUAL", 7, frame="arrow"))
reveal_type(deribit_pipeline.read.realised_volatility("BTC-PERPETUAL", day, day))

def either(kind: read.FrameKind) -> None:
    reveal_type(read.candles("BTC-PERPETUAL", day, day, frame=kind))

try:
    read.candles("BTC-PERPETUAL", day, day, frame="vaex")
except IncompleteDays as error:
    reveal_type(error.days)
deribit_pipeline.nothing
"""
PANDAS, ARROW, POLARS = "pandas.DataFrame", "pyarrow.Table", "polars.DataFrame"

# Checking all imports of the reader would take half a minute.
MYPY = """
[mypy]
follow_imports = skip
[mypy-deribit_pipeline,deribit_pipeline.read,deribit_pipeline.reader.*,deribit_pipeline.errors]
follow_imports = silent
"""


def test_mypy_knows_which_frame_a_program_gets(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(USER_PROGRAM)
    (tmp_path / "mypy.ini").write_text(MYPY)
    # pandas and pyarrow have no types; these replace the stubs that a user installs.
    for module, name in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table")):
        (tmp_path / f"{module}.pyi").write_text(f"class {name}: ...\n")
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.findall(r'Revealed type is "(.*)"', ended.stdout) == [
        PANDAS, PANDAS, POLARS, ARROW, PANDAS, PANDAS, POLARS, PANDAS, POLARS, ARROW, PANDAS, ARROW,
        PANDAS,
        f"{PANDAS} | {ARROW} | {POLARS}",
        "dict[datetime.date, str]",
    ]  # fmt: skip
    errors = [line for line in ended.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 2, ended.stdout
    assert 'No overload variant of "candles" matches' in errors[0]
    assert 'Module has no attribute "nothing"' in errors[1]


def test_the_wheel_ships_the_types() -> None:
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "deribit_pipeline/py.typed" in files


def test_importing_the_package_imports_no_library_and_reading_no_frame() -> None:
    program = (
        "import sys, deribit_pipeline as d; assert not {'numpy', 'duckdb'} & set(sys.modules); "
        "d.read.candles; assert not {'pandas', 'polars', 'pyarrow', 'dagster'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("module", [deribit_pipeline, read])
def test_a_public_module_shows_its_public_names_and_no_others(module: object) -> None:
    shown = {name for name in dir(module) if not name.startswith("__")}
    assert shown <= set(module.__all__)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_completion_shows_the_functions_alone() -> None:
    assert dir(read) == sorted(name for name in read.__all__ if name.islower())
    assert all(callable(getattr(read, name)) for name in dir(read))


@pytest.mark.parametrize("name", dir(read))
def test_each_function_documents_arguments_result_and_errors(name: str) -> None:
    function = getattr(read, name)
    names = set(function.__annotations__) - {"return"}
    parameters, _, rest = function.__doc__.partition("Returns\n")
    assert all(re.search(rf"^ +(\w+, )*{each}(, \w+)* : ", parameters, re.M) for each in names)
    assert re.search(r"shape \(.*\)|duckdb", rest)
    errors = {"InputError", "WarehouseError"}
    errors |= {"IncompleteDays"} if "complete_only" in names else set()
    assert errors <= set(re.findall(r"\w+", rest))


def test_rows_of_every_dataset_are_read_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)
    name_warehouse(monkeypatch, warehouse.location, tmp_path)
    price = {"index_name": "btc_usd", "delivery_date": date(2024, 1, 1), "delivery_price": 42.0}
    hold(warehouse, DELIVERY_PRICES.table, price)
    proof = {"dataset": "delivery_prices", "series": "btc_usd", "day": date(2024, 1, 1)}
    hold(warehouse, DATASET_DAYS, proof | {"state": "complete"})
    found = read.rows("delivery_prices", "btc_usd", "2024-01-01", "2024-01-01")
    assert list(found.index) == [datetime(2024, 1, 1, tzinfo=UTC)]
    assert (found.index.name, str(found.index.tz)) == ("delivery_date", "UTC")
    assert found["delivery_price"].tolist() == [42.0]
    with pytest.raises(InputError, match=r"read\.candles"):
        read.rows("candles_1m", "BTC-PERPETUAL", "2024-01-01", "2024-01-01")
    with pytest.raises(InputError, match="dataset must be one of .*, was 'candle'"):
        read.rows("candle", "BTC-PERPETUAL", "2024-01-01", "2024-01-01")
