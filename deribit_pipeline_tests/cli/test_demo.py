"""The demo fills a sandbox warehouse in any folder; the documents can be read from anywhere."""

import os
from pathlib import Path

import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.settings import Settings
from deribit_pipeline.variables import choose_defaults_of
from deribit_pipeline_tests.helpers.processes import script

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


def test_the_demo_runs_in_an_empty_folder_and_says_at_once_where_its_files_are(
    tmp_path: Path,
) -> None:
    output = script(
        "demo", cwd=tmp_path, env={"DERIBIT_BASE_URL": "https://www.deribit.com/api/v2"}
    )
    assert output.returncode == 0, output.stderr
    first = output.stderr.splitlines()[0]
    assert f"{tmp_path}/data/sandbox.duckdb" in first
    assert f"{tmp_path}/dagster_home" in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dagster_home", "data"]
    assert "40,320 candles received" in output.stderr
    assert "ETH-PERPETUAL" in output.stdout
    assert "risk_reversal_25" in output.stdout


def test_the_demo_takes_the_defaults_of_the_sandbox_whatever_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {
        "DERIBIT_ENV": "mainnet",
        "DERIBIT_BASE_URL": "https://www.deribit.com/api/v2",
        "DERIBIT_WAREHOUSE": "ducklake:postgres:host=db.example dbname=mainnet",
        "DERIBIT_WAREHOUSE_DATA": "s3://bucket/mainnet",
        "DERIBIT_HOME": str(tmp_path),
    }
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    of_file = {"DERIBIT_CLIENT_ID": "id", "DERIBIT_CLIENT_SECRET": "secret"}
    for name in of_file:
        monkeypatch.setenv(name, "")  # restored after the test
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in of_file.items()))
    choose_defaults_of("sandbox")
    settings = Settings.load()
    assert (settings.environment, settings.base_url) == (Environment.SANDBOX, None)
    assert (settings.warehouse, settings.client_id) == (tmp_path / "data/sandbox.duckdb", None)
    assert os.environ["DERIBIT_HOME"] == str(tmp_path)


def test_the_documents_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["docs"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed[:2] == ["readme", "settings"]
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= set(listed)
    for name, file in (("tutorial", "docs/tutorial.md"), ("settings", ".env.example")):
        assert exit_code(["docs", name]) == 0
        assert capsys.readouterr().out.rstrip() == (ROOT / file).read_text().rstrip()
    assert exit_code(["docs", "docs/queries.md"]) == 0
    capsys.readouterr()
    assert exit_code(["docs", "nonsense"]) == 2
    assert "the pages are readme, settings, add-a-dataset" in capsys.readouterr().err
