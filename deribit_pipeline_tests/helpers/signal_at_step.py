"""A command line that sends itself a signal at a step of its work:

    python signal_at_step.py SIGKILL "after commit" 2 backfill --start 2024-01-01

A step is `before` or `after` an operation on the warehouse's file (`begin`, `commit`, or the first
words of a statement, such as `attach` and `detach`), on Dagster's databases (the first words of a
statement, in capitals), or `get` and a requested method of the exchange. The nth step counts. `now`
is printed right before the signal.
"""

import collections
import json
import os
import signal
import sys
from typing import Any

import duckdb
import httpx
import sqlalchemy

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.engine import writing

SIGNAL, MOMENT, NTH, *COMMAND = sys.argv[1:]
seen: collections.Counter[str] = collections.Counter()
connect = duckdb.connect
send = httpx.AsyncClient.send


def passed(moment: str) -> None:
    if " ".join(moment.split()).startswith(MOMENT):
        seen[MOMENT] += 1
        if seen[MOMENT] == int(NTH):
            os.write(1, b"now\n")
            os.kill(os.getpid(), signal.Signals[SIGNAL])


class Connection:
    """A DuckDB connection whose operations are steps."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        if name == "cursor":
            return lambda: Connection(found())
        if name not in ("begin", "execute", "executemany", "commit", "rollback", "close"):
            return found

        def step(*arguments: Any) -> Any:
            what = arguments[0] if arguments else name
            passed(f"before {what}")
            result = found(*arguments)
            passed(f"after {what}")
            return result

        return step

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connected(**options: Any) -> Any:
    return Connection(connect(**options))


async def sent(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
    method = request.url.path.rpartition("/api/v2/")[2]
    if request.method == "POST":
        method = json.loads(request.content)["method"]
    passed(f"before get {method}")
    response = await send(self, request, **options)
    passed(f"after get {method}")
    return response


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
def before(_: Any, __: Any, statement: str, *more: Any) -> None:
    passed(f"before {statement}")


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "after_cursor_execute")
def after(_: Any, __: Any, statement: str, *more: Any) -> None:
    passed(f"after {statement}")


# So that some days are stored before others are fetched.
writing._WRITTEN_TOGETHER = 3
duckdb.connect = connected  # type: ignore[assignment]
httpx.AsyncClient.send = sent  # type: ignore[method-assign]
sys.exit(exit_code(COMMAND))
