"""Results with thousands of rows, decoded straight into typed rows instead of dictionaries."""

from typing import Any, Generic, TypeVar

import msgspec

from deribit_pipeline.exchange.transport import Decode

Result = TypeVar("Result")


class _Envelope(msgspec.Struct, Generic[Result]):
    result: Result
    id: Any = None
    usIn: Any = None  # noqa: N815
    usOut: Any = None  # noqa: N815
    testnet: Any = None
    error: Any = None


def decoder_of(kind: type[Result]) -> Decode:
    """A function that decodes a response whose `result` is of this type; it returns None for any
    other response, which then has to be decoded as JSON of any shape."""
    decoder = msgspec.json.Decoder(_Envelope[kind])  # type: ignore[valid-type]

    def decode(content: bytes) -> dict[str, Any] | None:
        if not content.isascii():  # the encoding of what is skipped is not checked
            return None
        try:
            return msgspec.structs.asdict(decoder.decode(content))
        except (msgspec.MsgspecError, RecursionError):
            return None

    return decode
