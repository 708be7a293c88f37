"""The schedules with the real daemon: started once, they keep the universe up to date."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deribit_pipeline.domain.proofs import DayState
from deribit_pipeline.engine.verification import verify
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.dagster_ui import dagster_dev, until


@pytest.mark.torture
def test_the_daemon_keeps_the_universe_where_schedules_are_on(
    settings: Settings,
    warehouse: Warehouse,
    clock: Clock,
    tmp_path: Path,
) -> None:
    """Every minute in place of every hour, day and week: the last week is complete, today open."""
    clock.now = datetime.now(UTC)
    today = clock.now.date()
    workspace = tmp_path / "workspace.yaml"
    minutely = Path(__file__).parents[1] / "helpers" / "minutely.py"
    workspace.write_text(f"load_from:\n  - python_file: {minutely}\n")

    def is_kept() -> str | None:
        with warehouse.reading() as connection:
            states = connection.execute(
                "select state, count(*) from candle_days where day > $first group by all",
                {"first": today - timedelta(days=8)},
            ).fetchall()
        is_done = dict(states) == {DayState.COMPLETE: 14, DayState.OPEN: 2}
        return "kept" if is_done else None

    with dagster_dev(settings, workspace, DERIBIT_SCHEDULES="on"):
        until(is_kept, "the schedules")
    assert verify(warehouse).findings == []
