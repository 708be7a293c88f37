"""No code in a foreign DuckDB file runs when it is compared or copied."""

from pathlib import Path

import duckdb
import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.engine import migration
from deribit_pipeline.engine.comparison import compare
from deribit_pipeline.errors import WarehouseUnusable
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.written_warehouse import fetched, write


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    write(Warehouse(tmp_path / "theirs.duckdb", Environment.SANDBOX), fetched())
    return tmp_path / "theirs.duckdb"


def foreign(path: Path) -> Warehouse:
    return Warehouse(path, Environment.SANDBOX, is_foreign=True)


def test_a_sound_file_is_compared_and_copied(theirs: Path, tmp_path: Path) -> None:
    ours = Warehouse(tmp_path / "ours.duckdb", Environment.SANDBOX)
    assert migration.migrate(foreign(theirs), ours).is_proved
    assert compare(ours, foreign(theirs)).differences == []


@pytest.mark.parametrize(
    ("statements", "name"),
    [
        (
            "alter table candle_days rename to others; "
            "create view candle_days as from read_csv('{secret}')",
            "view candle_days",
        ),
        ("create macro coalesce_of(x) as 1; create macro count(x) as 1", "macro count"),
        (
            "alter table warehouse_info rename to others; create view warehouse_info as "
            "select 'sandbox' as environment, 5 as schema_version",
            "view warehouse_info",
        ),
    ],
)
def test_a_view_or_macro_in_the_place_of_another_is_not_run(
    theirs: Path, tmp_path: Path, statements: str, name: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("geheim")
    with duckdb.connect(str(theirs)) as connection:
        connection.execute(statements.format(secret=secret))
    ours = Warehouse(tmp_path / "ours.duckdb", Environment.SANDBOX)
    for work in (lambda: compare(ours, foreign(theirs)), foreign(theirs).require):
        with pytest.raises(WarehouseUnusable, match=f"has the {name}") as caught:
            work()
        assert "geheim" not in str(caught.value)


def test_a_foreign_file_reaches_nothing_outside_of_it(theirs: Path) -> None:
    with (
        foreign(theirs).reading() as connection,
        pytest.raises(duckdb.PermissionException),
    ):
        connection.execute("from read_text('/etc/hostname')")
