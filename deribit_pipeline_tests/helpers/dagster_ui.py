"""Dagster's UI as a user starts it: webserver, daemon and code location, queried over GraphQL."""

import importlib.resources
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.processes import DAGSTER, environment
from deribit_pipeline_tests.test_loopback import free_port, group_of

ROOT = Path(__file__).parents[2]

# For two cores with other tests in parallel; on an idle machine a tenth suffices.
_PATIENCE = 300.0

_ENDED = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}

_LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_AGAIN = """
mutation ($id: String!) {
  reexecutePartitionBackfill(reexecutionParams: {parentRunId: $id, strategy: FROM_FAILURE}) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill { status }
  }
}
"""
_ERRORS = """
query ($id: String!) {
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) {
    ... on Runs {
      results {
        eventConnection(limit: 1000) {
          events {
            ... on ExecutionStepFailureEvent { stepKey error { message } }
            ... on RunFailureEvent { message }
          }
        }
      }
    }
  }
}
"""
_PARTITIONS = """
query ($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      partitionStats { numMaterialized numFailed numMaterializing }
      assetPartitionStatuses {
        ... on MultiPartitionStatuses {
          primaryDimensionName
          ranges {
            primaryDimStartKey
            primaryDimEndKey
            secondaryDim {
              ... on DefaultPartitionStatuses { materializedPartitions failedPartitions }
            }
          }
        }
      }
    }
  }
}
"""


@dataclass(frozen=True)
class Shown:
    """The partitions as the page of an asset shows them: the numbers of its filters, and for each
    span of days the instruments in green and in red."""

    materialized: int
    failed: int
    materializing: int
    ranges: list[dict[str, Any]]

    def made_on(self, instrument_name: str, day: str) -> bool:
        """Whether the day is shown as materialized."""
        return self._says("materializedPartitions", instrument_name, day)

    def failed_on(self, instrument_name: str, day: str) -> bool:
        """Whether the day is shown as failed."""
        return self._says("failedPartitions", instrument_name, day)

    def _says(self, status: str, instrument_name: str, day: str) -> bool:
        return any(
            instrument_name in found["secondaryDim"][status]
            for found in self.ranges
            if found["primaryDimStartKey"] <= day <= found["primaryDimEndKey"]
        )


class DagsterUI:
    """The UI at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, query: str, **variables: object) -> Any:
        """The data of a GraphQL response."""
        requested = {"query": query, "variables": variables}
        answer = (
            httpx.post(f"{self.url}/graphql", json=requested, timeout=60).raise_for_status().json()
        )
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def is_loaded(self) -> bool:
        """Whether it responds and has loaded the assets of the code location."""
        with suppress(httpx.TransportError):
            return bool(self.query("{ assetNodes { id } }")["assetNodes"])
        return False

    def launch(self, asset: str, keys: Iterable[str]) -> str:
        """Launch a backfill like the page of an asset; returns its id."""
        return self.launch_with(
            {"assetSelection": [{"path": [asset]}], "partitionNames": list(keys)}
        )

    def launch_with(self, params: Mapping[str, object]) -> str:
        """Launch a backfill with Dagster's parameters; returns its id."""
        return self._launched(self.query(_LAUNCH, params=params)["launchPartitionBackfill"])

    def reexecute_from_failure(self, backfill: str) -> str:
        """Re-execute a backfill from failure, as its menu does."""
        return self._launched(self.query(_AGAIN, id=backfill)["reexecutePartitionBackfill"])

    @staticmethod
    def _launched(answer: dict[str, Any]) -> str:
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return str(answer["backfillId"])

    def end_of(self, backfill: str) -> str:
        """Wait for the end of a backfill; returns its status."""

        def ended() -> str | None:
            status = self.query(_BACKFILL, id=backfill)["partitionBackfillOrError"]["status"]
            return str(status) if status in _ENDED else None

        return until(ended, f"the end of backfill {backfill}")

    def errors_of(self, backfill: str) -> list[dict[str, Any]]:
        """The failure messages of the runs of a backfill."""
        runs = self.query(_ERRORS, id=backfill)["runsOrError"]["results"]
        return [event for run in runs for event in run["eventConnection"]["events"] if event]

    def partitions(self, asset: str) -> Shown:
        """The partitions as the page of an asset shows them."""
        node = self.query(_PARTITIONS, asset={"path": [asset]})["assetNodeOrError"]
        statuses, stats = node["assetPartitionStatuses"], node["partitionStats"]
        assert statuses["primaryDimensionName"] == "utc_day"
        return Shown(
            stats["numMaterialized"], stats["numFailed"], stats["numMaterializing"],
            statuses["ranges"],
        )  # fmt: skip


_Answer = TypeVar("_Answer")


def until(happened: Callable[[], _Answer | None], what: str, pause: float = 0.5) -> _Answer:
    """The first true result of `happened`, which is called every `pause` seconds."""
    deadline = time.monotonic() + _PATIENCE
    while not (answer := happened()):
        assert time.monotonic() < deadline, f"waited {_PATIENCE:.0f} s for {what}"
        time.sleep(pause)
    return answer


@contextmanager
def dagster_dev(
    settings: Settings, workspace: Path = ROOT / "workspace.yaml", **variables: str
) -> Iterator[DagsterUI]:
    """Run `dagster dev` with these settings and additional environment `variables`, on a separate
    home; all its processes end with the block."""
    home, port = settings.dagster_home, free_port()
    home.mkdir(parents=True, exist_ok=True)
    template = importlib.resources.files("deribit_pipeline") / "dagster.yaml"
    (home / "dagster.yaml").write_text(template.read_text())
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    # Not in the project's folder, which may have a developer's `.env`.
    log = home.parent / "dagster-dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(DAGSTER), "dev", "-w", str(workspace), "-h", "127.0.0.1",
             "-p", str(port)],
            cwd=home.parent, env=environment(settings) | path | variables,
            start_new_session=True, stdout=output, stderr=output,
        )  # fmt: skip
    ui = DagsterUI(f"http://127.0.0.1:{port}")

    def is_loaded() -> bool:
        assert process.poll() is None, log.read_text()[-2_000:]
        return ui.is_loaded()

    try:
        until(is_loaded, f"dagster dev, which said: {log.read_text()[-2_000:]}")
        yield ui
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process and all that it started, and kill what remains."""
    for ending, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        for member in group_of(process.pid):
            with suppress(ProcessLookupError):
                os.kill(member, ending)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
