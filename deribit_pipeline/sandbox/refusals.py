"""Refusals, and parameters that are refused if they are invalid."""

from collections.abc import Mapping


class Refusal(Exception):
    """A JSON-RPC error: the exchange sends it under HTTP 400."""

    def __init__(self, code: int, message: str, **data: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({"data": data} if data else {})


def invalid(param: str, reason: str) -> Refusal:
    return Refusal(-32602, "Invalid params", param=param, reason=reason)


def required(params: Mapping[str, str], name: str) -> str:
    value = params.get(name)
    if value is None or value == "":
        raise invalid(name, "value is required")
    return value


def milliseconds(params: Mapping[str, str], name: str) -> int:
    try:
        return int(required(params, name))
    except ValueError:
        raise invalid(name, "wrong format") from None


def texts_of(params: Mapping[str, object]) -> dict[str, str]:
    """Parameters of JSON, written as in a query string."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in params.items()
    }
