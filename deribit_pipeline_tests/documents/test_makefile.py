"""The effect of `make` on the environment of its targets."""

import re
from pathlib import Path

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]


def test_the_demo_fills_a_file_of_its_own_whatever_the_environment_sets() -> None:
    theirs = {
        "DERIBIT_ENV": "mainnet",
        "DERIBIT_BASE_URL": "https://www.deribit.com/api/v2",
        "DERIBIT_WAREHOUSE": "ducklake:postgres:host=db.example dbname=mainnet",
        "DERIBIT_WAREHOUSE_DATA": "s3://bucket/mainnet",
        "DERIBIT_CLIENT_ID": "id",
        "DERIBIT_CLIENT_SECRET": "secret",
    }
    exported = re.findall(
        r"^demo: export (\w+) = *(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    settings = Settings.from_env(theirs | dict(exported))
    assert (settings.environment, settings.base_url) == (Environment.SANDBOX, None)
    assert (settings.warehouse, settings.client_id) == (Path("data/sandbox.duckdb"), None)


def test_the_ui_that_make_starts_is_the_guarded_one() -> None:
    recipe = re.findall(r"^dev: setup .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert recipe == ["\t$(BIN)/deribit-pipeline ui\n"]
