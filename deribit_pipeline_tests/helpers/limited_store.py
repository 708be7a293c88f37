"""An object store whose key may list one prefix of the bucket only."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import httpx

from deribit_pipeline_tests.helpers.servers import HOST, ObjectStore

# The response of AWS if the policy of a key does not permit the request.
_DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)


@contextmanager
def listing_alone(store: ObjectStore, prefix: str) -> Iterator[str]:
    """The endpoint of a proxy of `store` that refuses listings outside of `prefix`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            listed = parse_qs(urlsplit(self.path).query, keep_blank_values=True).get("prefix")
            if listed and not listed[0].startswith(prefix):
                status, headers, output = 403, {"Content-Type": "application/xml"}, _DENIED
            else:
                # The Host header is unchanged, because the signature covers it.
                answer = httpx.request(
                    self.command, store.endpoint + self.path, headers=dict(self.headers),
                    content=body,
                )  # fmt: skip
                status, headers, output = answer.status_code, dict(answer.headers), answer.content
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            length = headers.get("content-length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(output)))
            self.end_headers()
            self.wfile.write(output)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
