"""The whole deployment of `deploy/`: its processes fill one warehouse together."""

import json
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from deribit_pipeline_tests.helpers.cluster import Cluster, cluster
from deribit_pipeline_tests.helpers.dagster_ui import until
from deribit_pipeline_tests.helpers.servers import ObjectStore, Postgres

pytestmark = pytest.mark.cluster

BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
FIRST = date(2024, 1, 1)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("deploy")) as found:
        until(found.ui.is_loaded, "the code location")
        yield found


def keys(first: int, last: int) -> set[str]:
    """The keys of both instruments on these days since the first, the last included."""
    days = [FIRST + timedelta(n) for n in range(first, last + 1)]
    return {f"{name}|{day}" for name in (BTC, ETH) for day in days}


def test_the_ui_and_two_workers_fill_one_warehouse(together: Cluster) -> None:
    of_the_ui, of_the_workers = keys(0, 29), keys(20, 49)
    backfill = together.ui.launch("candles_1m", of_the_ui)
    command = ["backfill", "--start", "2024-01-21", "--end", "2024-02-19"]
    with (
        together.service("worker", *command) as one,
        together.service("worker", *command) as another,
    ):
        assert (one.wait(120), another.wait(120)) == (0, 0), together.log("worker").read_text()
    assert together.ui.end_of(backfill) == "COMPLETED_SUCCESS", together.ui.errors_of(backfill)

    with together.warehouse.reading() as connection:
        days = connection.execute(
            "select instrument_name || '|' || opened_at::date, count(*), "
            "count(distinct opened_at) from complete_candles where resolution = '1' group by 1"
        ).fetchall()
        proofs = connection.execute(
            "select count(*), count(distinct (instrument_name, day)) from candle_days"
        ).fetchall()
    assert {key for key, _, _ in days} == of_the_ui | of_the_workers
    assert {(rows, minutes) for _, rows, minutes in days} == {(1_440, 1_440)}
    assert proofs == [(100, 100)]
    shown = together.ui.partitions("candles_1m")
    assert (shown.materialized, shown.failed, shown.materializing) == (100, 0, 0)


def test_the_machines_keep_nothing_and_the_logs_name_no_secret(together: Cluster) -> None:
    command = ["backfill", "--start", "2024-03-01", "--end", "2024-03-02"]
    with together.service("worker", *command) as worker:
        assert worker.wait(120) == 0
    left = [path for path in (together.folder / "home").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["dagster.yaml"]
    output = "".join(path.read_text() for path in together.folder.glob("*.log"))
    for secret in (Postgres.PASSWORD, ObjectStore.secret):
        assert secret not in output
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"at"')]
    assert {line["logger"].partition(".")[0] for line in lines} == {"deribit_pipeline"}
    assert all("run_id" in line for line in lines)
