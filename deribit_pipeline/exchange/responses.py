"""Parses responses of methods that belong to no dataset: pure functions, which raise ValueError for
a malformed one."""

import re
import reprlib

from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.auth import Token


def instrument(answer: object) -> Instrument:
    """The instrument of `public/get_instrument`."""
    fields = shapes.mapping(answer)
    times = ("creation_timestamp", "expiration_timestamp")
    created, expires = (shapes.milliseconds(name, fields.get(name)) for name in times)
    if not created < min(expires, shapes.NEVER):
        raise ValueError(f"an instrument must expire after it is created, was {created}, {expires}")
    return Instrument(
        instrument_name=shapes.text("instrument_name", fields.get("instrument_name")),
        kind=shapes.text("kind", fields.get("kind")),
        listed_at=from_ms(created),
        expires_at=from_ms(expires) if expires < shapes.NEVER else None,
    )


def locked(answer: object) -> str | None:
    """The lock state from `public/status`: None, `partial` or `true`.

    The documentation shows a boolean; recorded responses contain a string.
    """
    said = str(shapes.mapping(answer).get("locked")).lower()
    if said not in ("true", "partial", "false"):
        raise ValueError(f"`locked` must be true, partial or false, was {reprlib.repr(said)}")
    return None if said == "false" else said


def grant(answer: object) -> Token:
    """The token of `public/auth`. Its errors quote nothing of the response, which contains the
    token."""
    fields = shapes.mapping(answer)
    token, expires_in = fields.get("access_token"), fields.get("expires_in")
    # It becomes a header: httpx would reject, and quote, anything but visible ASCII.
    if not isinstance(token, str) or not re.fullmatch("[!-~]+", token):
        raise ValueError("`access_token` must be a text of visible ASCII")
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        raise ValueError("`expires_in` must be a number of seconds")
    if not 0 < expires_in < shapes.NEVER:
        raise ValueError("`expires_in` must be above 0 and end one day")
    scope = fields.get("scope")
    if not isinstance(scope, str | None):
        raise ValueError("`scope` must be a text")
    return Token(token, float(expires_in), scope or "")
