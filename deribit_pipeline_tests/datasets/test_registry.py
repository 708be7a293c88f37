"""Each dataset declares itself, without conflicts with the others."""

import ast
import inspect
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from deribit_pipeline.datasets import registry
from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.schedule import daily, hourly
from deribit_pipeline.engine.source import Source, source_of
from deribit_pipeline.errors import SettingsError

FOLDERS = sorted(
    path.parent for path in Path(inspect.getfile(registry)).parent.glob("*/__init__.py")
)
PURE = sorted(
    path
    for folder in FOLDERS
    for path in folder.glob("*.py")
    if path.stem in ("wire", "proof", "table", "rules", "views", "witness", "__init__")
)

each_dataset = pytest.mark.parametrize(
    "dataset", DATASETS.values(), ids=lambda dataset: dataset.name
)


@each_dataset
def test_a_dataset_describes_the_rows_of_its_table(dataset: Dataset) -> None:
    columns = [column.name for column in dataset.table.columns]
    assert {*dataset.key, dataset.at, *dataset.bounds, *dataset.table.key} <= set(columns)
    assert dataset.table.key[0] == dataset.series.value.replace("instrument", "instrument_name")
    assert set(dataset.key) <= set(dataset.table.key[1:])
    assert dataset.proves
    assert not dataset.made_of or dataset.made_of in DATASETS


@each_dataset
def test_each_line_of_the_registry_leads_to_a_source(dataset: Dataset) -> None:
    assert isinstance(source_of(dataset), Source)


def test_each_folder_with_a_table_is_in_the_registry() -> None:
    declared = {dataset.table for dataset in DATASETS.values()}
    for folder in FOLDERS:
        module = import_module(f"deribit_pipeline.datasets.{folder.name}")
        found = [each for each in vars(module).values() if isinstance(each, Dataset)]
        assert {each.table for each in found} <= declared, folder.name


def test_every_schedule_has_a_minute_of_its_own() -> None:
    crons = [schedule.cron for each in DATASETS.values() for schedule in each.schedules]
    minutes = Counter(cron.split()[0] for cron in crons if not cron.startswith("*/"))
    assert minutes.most_common(1)[0][1] == 1
    assert max(map(int, minutes)) < 60


@pytest.mark.parametrize("at", ["24:00", "00:60", "noon", "1"])
def test_a_time_that_no_day_has_is_no_schedule(at: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        daily(at)
    with pytest.raises(ValueError, match="minute"):
        hourly(60)


def test_two_datasets_of_one_name_are_refused() -> None:
    funding = DATASETS["funding_rates"]
    another = replace(funding, source="elsewhere.source:SOURCE")
    assert another == funding
    assert hash(another) == hash(funding)
    with pytest.raises(SettingsError, match=r"funding_rates, of deribit.* and of elsewhere"):
        registry._by_name([funding, another])


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_a_response_says_and_what_a_day_has_is_pure(path: Path) -> None:
    text = path.read_text()
    imports = {
        node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
    }
    assert not any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(ast.parse(text)))
    outside = ("exchange.client", "exchange.session", "warehouse", "asyncio", "duckdb", "httpx")
    for module in filter(None, imports):
        assert not module.removeprefix("deribit_pipeline.").startswith(outside), module
