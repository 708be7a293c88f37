"""How a fault corrupts responses of one shape, and what is sent then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deribit_pipeline.sandbox.exchange import Reply
from deribit_pipeline.sandbox.row_faults import Rows, is_rows
from deribit_pipeline.sandbox.summary_faults import is_summaries
from deribit_pipeline.sandbox.trade_faults import is_trades


@dataclass(frozen=True, slots=True)
class Wire:
    """What to send: a JSON `reply` or a raw `text`, late by `stall` seconds, or cut short.

    `is_cut` ends the text before its content length, like a connection that is reset. `pause` is
    the seconds before each byte. `packed` is a gzip body, and `is_gzip` compresses the reply.
    `is_endless` continues until the client disconnects.
    """

    reply: Reply | None = None
    status: int = 200
    text: str = ""
    stall: float = 0.0
    is_cut: bool = False
    pause: float = 0.0
    packed: bytes = b""
    is_gzip: bool = False
    is_endless: bool = False


def error(status: int, code: int, message: str) -> Callable[[Reply], Wire]:
    def fault(reply: Reply) -> Wire:
        body = {name: value for name, value in reply.body.items() if name != "result"}
        return Wire(Reply(status, body | {"error": {"code": code, "message": message}}))

    return fault


def raw(status: int, text: str) -> Callable[[Reply], Wire]:
    return lambda reply: Wire(status=status, text=text)


def chart(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Reply], Wire]:
    """A fault of the chart's arrays; other responses, and empty charts, are unchanged."""

    def fault(reply: Reply) -> Wire:
        result = reply.body.get("result")
        if not isinstance(result, dict) or len(result.get("ticks", ())) < 3:
            return Wire(reply)
        return with_result(reply, result | change(result))

    return fault


def rows(change: Callable[[Rows], Rows]) -> Callable[[Reply], Wire]:
    """A fault of rows that are a result or a list in it; other responses are unchanged."""

    def fault(reply: Reply) -> Wire:
        result = reply.body.get("result")
        if is_rows(result):
            return with_result(reply, change(result))
        for name in ("data", "trades", "settlements", "logs"):
            if isinstance(result, dict) and is_rows(result.get(name)):
                return with_result(reply, result | {name: change(result[name])})
        return Wire(reply)

    return fault


def trades(change: Callable[[Rows], Rows]) -> Callable[[Reply], Wire]:
    """A fault of trades; other responses are unchanged."""

    def fault(reply: Reply) -> Wire:
        result = reply.body.get("result")
        if not isinstance(result, dict) or not is_trades(result.get("trades")):
            return Wire(reply)
        return with_result(reply, result | {"trades": change(result["trades"])})

    return fault


def summaries(change: Callable[[Rows], Rows]) -> Callable[[Reply], Wire]:
    """A fault of book summaries; other responses are unchanged."""

    def fault(reply: Reply) -> Wire:
        rows = reply.body.get("result")
        return with_result(reply, change(rows)) if is_summaries(rows) else Wire(reply)

    return fault


def with_result(reply: Reply, result: Any) -> Wire:
    return Wire(Reply(reply.status, reply.body | {"result": result}))
