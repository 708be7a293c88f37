"""The log file: one JSON object per line, with its run, intact with several writers."""

import json
import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from deribit_pipeline.logs import (
    JsonFormatter,
    json_file_handler,
    json_stream_handler,
    lines_of_run,
)


def line(**fields: Any) -> dict[str, Any]:
    record = logging.LogRecord("deribit_pipeline.x", logging.INFO, "x.py", 1, "%d days", (7,), None)
    vars(record).update(fields)
    parsed: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return parsed


def test_a_line_says_what_when_and_where_from() -> None:
    made = line()
    assert (made["level"], made["logger"], made["message"]) == (
        "INFO",
        "deribit_pipeline.x",
        "7 days",
    )
    assert made["at"].endswith("+00:00")


def test_fields_of_the_record_are_kept_and_foreign_objects_are_not() -> None:
    made = line(instrument_name="BTC-PERPETUAL", candles=1_440, dagster_event=object())
    assert (made["instrument_name"], made["candles"]) == ("BTC-PERPETUAL", 1_440)
    assert "dagster_event" not in made


def test_a_line_of_a_run_names_run_step_and_partitions() -> None:
    tags = {
        "dagster/asset_partition_range_start": "A|2024-01-01",
        "dagster/asset_partition_range_end": "A|2024-01-31",
    }
    meta = {"run_id": "r", "step_key": "s", "job_tags": tags, "orig_message": "the sentence alone"}
    made = line(dagster_meta=meta)
    assert (made["run_id"], made["step"], made["message"]) == ("r", "s", "the sentence alone")
    assert made["partition"] == "A|2024-01-01...A|2024-01-31"
    one = line(dagster_meta={"job_tags": {"dagster/partition": "A|2024-01-01"}})
    assert one["partition"] == "A|2024-01-01"


def test_an_exception_is_in_its_line() -> None:
    try:
        raise ValueError("what was wrong")
    except ValueError as error:
        made = line(exc_info=(type(error), error, error.__traceback__))
    assert made["exception"].endswith("ValueError: what was wrong")


def test_a_container_writes_the_same_lines(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("deribit_pipeline.x", logging.INFO, "x.py", 1, "%d days", (7,), None)
    json_stream_handler().handle(record)
    output = capsys.readouterr()
    assert json.loads(output.out) == json.loads(JsonFormatter().format(record))
    assert output.err == ""


def _write_many(home: str, count: int, size: int) -> None:
    os.environ["DAGSTER_HOME"] = home
    handler = json_file_handler()
    for n in range(count):
        text = f"{os.getpid()} {n} {'x' * size}"
        handler.handle(logging.LogRecord("w", logging.INFO, "w.py", 1, text, (), None))
    handler.close()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("count", "size", "files"),
    [(300, 10, 1), pytest.param(1_000, 10_000, 5, id="forty_megabytes")],
)
def test_four_processes_write_whole_lines_and_lose_none(
    tmp_path: Path, count: int, size: int, files: int
) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (str(tmp_path), count, size)
    writers = [context.Process(target=_write_many, args=arguments) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    written = sorted((tmp_path / "logs").glob("deribit_pipeline.*"))
    lines = [json.loads(text) for path in written for text in path.read_text().splitlines()]
    assert len(written) == files
    assert len({line["message"] for line in lines}) == len(lines) == 4 * count


def test_the_file_rotates_at_ten_megabytes_and_five_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    handler = json_file_handler()
    for _ in range(75):
        handler.handle(logging.LogRecord("w", logging.INFO, "w.py", 1, "x" * 1_000_000, (), None))
    handler.close()
    sizes = [path.stat().st_size for path in (tmp_path / "logs").glob("deribit_pipeline.*")]
    assert len(sizes) == 6  # the one that is written, and five before it
    assert max(sizes) < 10_000_000 + 1_001_000  # and the line that crossed it


def test_the_lines_of_a_run_are_found_in_every_file_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    handler = json_file_handler()
    for number in range(30):
        record = logging.LogRecord(
            "w", logging.INFO, "w.py", 1, f"{number} {'x' * 10**6}", (), None
        )
        record.dagster_meta = {"run_id": f"{'ab'[number % 2]}-the-rest-of-the-id"}
        handler.handle(record)
    handler.close()
    assert len(list((tmp_path / "logs").iterdir())) > 2
    found = [int(line["message"].split()[0]) for line in lines_of_run(tmp_path, "b-the")]
    assert found == list(range(1, 30, 2))
    assert list(lines_of_run(tmp_path, "c")) == []
