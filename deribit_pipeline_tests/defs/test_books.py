"""Dagster storage that cannot be written costs no day, and is reported in one sentence."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.defs import runs
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.previews import Preview
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.errors import RecordingError
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.deployment import DEPLOY, variables_of
from deribit_pipeline_tests.helpers.processes import environment
from deribit_pipeline_tests.helpers.servers import Postgres

WEEK = ["backfill", "--start", "2024-01-01", "--end", "2024-01-07"]


@pytest.fixture
def home(settings: Settings, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A DAGSTER_HOME with storage in PostgreSQL, without pauses between retries."""
    settings.dagster_home.mkdir()
    (settings.dagster_home / "dagster.yaml").write_text((DEPLOY / "dagster.yaml").read_text())
    for name, value in (environment(settings) | variables_of(postgres.database())).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("dagster_postgres.utils.calculate_delay", lambda **_: 0.0)
    monkeypatch.chdir(settings.dagster_home.parent)
    yield settings.dagster_home
    postgres.start()


@pytest.mark.usefixtures("home")
def test_dagsters_postgres_that_is_unreachable_costs_no_day(
    warehouse: Warehouse, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.kill()
    assert exit_code(WEEK) == 1
    [output] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert "Dagster cannot record runs in the database that dagster.yaml" in output
    assert "(Connection refused)" in output
    assert "make room" not in output
    assert postgres.PASSWORD not in output
    postgres.start()
    assert exit_code(WEEK) == 0
    assert (verify(warehouse).days, verify(warehouse).findings) == (14, [])


def test_dagsters_postgres_that_dies_in_a_run_is_one_sentence(
    home: Path, postgres: Postgres
) -> None:
    class Deadly:
        """Backfills no day, and stops PostgreSQL."""

        def backfill(self, dataset: Dataset, job: Job, *, force: bool) -> Outcome:
            postgres.kill()
            return Outcome()

        def previews(self, dataset: Dataset, days: Days, outcome: Outcome) -> list[Preview]:
            return []

    job = Job("0f4b7e1c-2f8c-4f36-9b11-000000000001", {"BTC-PERPETUAL": [date(2024, 1, 1)]})
    minutes = CANDLES[Resolution.MINUTE_1]
    with (
        pytest.raises(RecordingError, match="cannot record runs in the database") as caught,
        runs.recording(home) as instance,
    ):
        runs.materialize(instance, minutes, job, Deadly(), force=False)
    assert "\n" not in str(caught.value)
