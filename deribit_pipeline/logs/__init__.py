"""Logging as JSON, one line per record: to a rotated file that several processes may write, or to a
container's standard output; and reading the file.

`dagster.yaml` names `json_file_handler` as a factory, because Dagster takes a handler's settings
literally: it expands no variables and creates no folders.
"""

import errno
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from deribit_pipeline.masking import masked

MOST_BYTES = 10_000_000
KEPT_FILES = 5

_NAME = "deribit_pipeline.jsonl"

_BEGIN = '{"at": "'
"""How each record begins."""

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "dagster_meta"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: the message, the run, and every `extra` field."""

    def format(self, record: logging.LogRecord) -> str:
        meta: dict[str, Any] = getattr(record, "dagster_meta", None) or {}
        tags: dict[str, str] = meta.get("job_tags") or {}
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": meta.get("orig_message") or record.getMessage(),
            "run_id": meta.get("run_id"),
            "step": meta.get("step_key"),
            "partition": _partition(tags),
            "process": record.process,
        }
        line |= {
            name: value
            for name, value in vars(record).items()
            # Dagster attaches its objects to a record; this project's fields are plain values.
            if name not in _PLAIN and isinstance(value, str | int | float)
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(
            {
                name: masked(value) if isinstance(value, str) else value
                for name, value in line.items()
                if value is not None
            }
        )


def json_file_handler() -> logging.Handler:
    """The handler for `logs/deribit_pipeline.jsonl` in DAGSTER_HOME or the working folder; a
    handler that drops all records if that file cannot be created, so that no run fails because of
    its log."""
    folder = Path(os.environ.get("DAGSTER_HOME") or ".") / "logs"
    try:
        # The import searches for a temporary folder, and there may be none.
        from deribit_pipeline.logs.log_file import LogFile

        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return logging.NullHandler()
    handler = LogFile(
        str(folder / _NAME),
        maxBytes=MOST_BYTES,
        backupCount=KEPT_FILES,
        encoding="utf-8",
        keep_file_open=False,  # Dagster creates a handler for each run and closes none
    )
    handler.setFormatter(JsonFormatter())
    return handler


class _Output(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the record if the output is closed or its disk is full."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def json_stream_handler() -> logging.Handler:
    """The handler for a container's log, which is its standard output."""
    handler = _Output(sys.stdout)
    handler.setFormatter(JsonFormatter())
    return handler


def lines_of_run(home: Path, run_id: str) -> Iterator[dict[str, Any]]:
    """The kept lines of all runs whose id begins with `run_id`, oldest first; without lines
    truncated by a full disk or a crash. Raises OSError."""
    newest_first = [home / "logs" / _NAME]
    newest_first += [home / "logs" / f"{_NAME}.{number}" for number in range(1, KEPT_FILES + 1)]
    sign = f'"run_id": "{run_id}'  # most lines belong to other runs, and need not be parsed
    for file in reversed(newest_first):
        if file.is_fifo():  # a pipe keeps no lines
            raise OSError(errno.EINVAL, "it is a named pipe", str(file))
        with suppress(FileNotFoundError), file.open(encoding="utf-8", errors="replace") as lines:
            for text in lines:
                if sign in text and (line := _parsed(text)) is not None:
                    yield line


def _parsed(text: str) -> dict[str, Any] | None:
    """The record in a line, or the last of several: former versions appended the next record to a
    truncated one."""
    for begin in (0, text.rfind(_BEGIN)):
        try:
            line = json.loads(text[max(begin, 0) :])
        except ValueError:
            continue
        if isinstance(line, dict) and line.keys() >= {"at", "level", "message", "run_id"}:
            return line
    return None


def _partition(tags: dict[str, str]) -> str | None:
    """The run's partition key, or the two ends of its range."""
    start, end = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    if start and end:
        return start if start == end else f"{start}...{end}"
    return tags.get("dagster/partition")
