"""Dagster's web server behind the guard: `python -m deribit_pipeline.defs.webserver`, with the
options of `dagster-webserver`.

The stock server executes GraphQL mutations in a URL, which any link or image can trigger. It relies
on undocumented names of dagster-webserver 1.13, and a test sends such requests.
"""

import os
import sys
from contextlib import chdir
from typing import Any

from dagster_webserver import app, cli
from dagster_webserver.webserver import DagsterWebserver
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from deribit_pipeline.defs.guard import Guard
from deribit_pipeline.errors import SettingsError
from deribit_pipeline.settings import Settings
from deribit_pipeline.variables import FOLDER

# Content types that a form of another web page cannot send without a CORS preflight.
_BODIES = ("application/json", "application/graphql")


class GuardedWebserver(DagsterWebserver):  # type: ignore[type-arg]
    """The stock server, restricted to requests of its own pages, and without mutations by URL."""

    hosts: tuple[str, ...] = ()

    def build_middleware(self) -> list[Middleware]:
        """The guard, before all of Dagster's middleware."""
        return [Middleware(Guard, hosts=self.hosts), *super().build_middleware()]

    def make_security_headers(self) -> dict[str, str]:
        """Dagster's headers, plus a ban on embedding the UI in another page's frame
        (clickjacking)."""
        return super().make_security_headers() | {"X-Frame-Options": "SAMEORIGIN"}

    async def execute_graphql_request(
        self,
        request: Request,
        query: Any,
        variables: dict[str, Any] | None,
        operation_name: str | None,
    ) -> JSONResponse:
        """Dagster's response, except for a mutation that is not in the body of a POST."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_posted = request.method == "POST" and media_type in _BODIES
        if not is_posted and not _only_reads(query):
            reason = f"Refused: a mutation must be POSTed as {' or '.join(_BODIES)}."
            return JSONResponse(
                {"data": None, "errors": [{"message": reason}]},
                415 if request.method == "POST" else 405,
                {"Allow": "POST"},
            )
        return await super().execute_graphql_request(request, query, variables, operation_name)


def _only_reads(query: Any) -> bool:
    """Whether each operation of a GraphQL document is a query. A document that cannot be parsed
    contains none, and Dagster reports its error."""
    if not isinstance(query, str):
        return False
    try:
        document = parse(query)
    except GraphQLError:
        return True
    return all(
        definition.operation is OperationType.QUERY
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    )


def main() -> None:
    """Run the web server until it is interrupted; a wrong setting exits with code 2."""
    try:
        with chdir(os.environ.get(FOLDER, ".")):
            GuardedWebserver.hosts = Settings.load().ui_hosts
    except SettingsError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    app.DagsterWebserver = GuardedWebserver  # type: ignore[attr-defined]
    cli.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
