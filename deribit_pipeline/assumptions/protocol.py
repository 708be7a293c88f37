"""Assumptions about the protocol: envelopes, ids, error codes, parsable responses."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    NotTested,
    Responses,
    compared,
)
from deribit_pipeline.assumptions.probe_requests import ANCHORED, SERIES
from deribit_pipeline.assumptions.probing import POSTED_ID
from deribit_pipeline.datasets.candles import wire as parse
from deribit_pipeline.datasets.delivery_prices.wire import (
    DeliveryPage,
    delivery_prices,
)
from deribit_pipeline.datasets.funding_rates import wire as funding
from deribit_pipeline.datasets.historical_volatility.wire import historical_volatility
from deribit_pipeline.datasets.settlements.wire import SettlementsPage, settlements
from deribit_pipeline.datasets.trades.hosts import MOST_TRADES_OF_ARCHIVE
from deribit_pipeline.datasets.trades.wire import trades
from deribit_pipeline.datasets.volatility_index import wire as volatility_index
from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.exchange import codes
from deribit_pipeline.exchange.entries import Readings
from deribit_pipeline.exchange.shapes import mapping
from deribit_pipeline.settings import Settings

_DEFAULTS = Settings()

_TRADES = partial(trades, instrument_name=SERIES, most=MOST_TRADES_OF_ARCHIVE)


PARSERS: dict[str, Callable[[object], object]] = (
    dict.fromkeys(
        ("running", "day", "hours", "quiet", "expired", *(f"anchor-{name}" for name in ANCHORED)),
        parse.candles,
    )
    | dict.fromkeys(("funding-overflow", "funding-day", "funding-began"), funding.rates)
    | dict.fromkeys(("dvol", "dvol-older", "dvol-hours", "dvol-began"), volatility_index.index_page)
    | dict.fromkeys(("trades", "trades-archive"), _TRADES)
    | dict.fromkeys(
        ("settlements", "settlements-both", "settlements-older", "settlements-end"),
        settlements,
    )
    | dict.fromkeys(("prices", "prices-oldest"), delivery_prices)
    | {"volatility": historical_volatility}
)
"""The parser for the response to each request."""


def _body(responses: Responses, name: str) -> tuple[int, Mapping[str, Any]]:
    """The HTTP status and the JSON object of a response to a POST; empty if it has none."""
    result = mapping(responses.success(name).result)
    body = result["body"]
    return result["http_status"], body if isinstance(body, Mapping) else {}


def _post_id(responses: Responses) -> Comparison:
    status, body = _body(responses, "post")
    found = f"HTTP {status}, " + (f"id {body['id']!r}" if "id" in body else "no id")
    holds = status == 200 and "result" in body and body.get("id") == POSTED_ID
    return compared(f"HTTP 200, id {POSTED_ID}", found, holds=holds)


def _post_id_of_archive(responses: Responses) -> Comparison:
    status, body = _body(responses, "post-archive")
    is_refused = status != 200 or "result" not in body
    found = "POST is refused" if is_refused else f"id {body.get('id')!r}"
    return compared(
        "POST is refused, or the id is null", f"HTTP {status}, {found}",
        holds=is_refused or body.get("id") is None,
    )  # fmt: skip


def _envelope(responses: Responses) -> Comparison:
    _, body = _body(responses, "post")
    came_in, left, is_testnet = (body.get(name) for name in ("usIn", "usOut", "testnet"))
    holds = (
        body.get("jsonrpc") == "2.0"
        and isinstance(is_testnet, bool)
        and type(came_in) is type(left) is int
        and 10**15 < came_in <= left < 10**17
    )
    return compared(
        "jsonrpc 2.0, testnet a boolean, usIn and usOut whole microseconds in this order",
        f"jsonrpc {body.get('jsonrpc')!r}, testnet {is_testnet!r}, usIn {came_in!r}, "
        f"usOut {left!r}",
        holds=holds,
    )


def _readable(responses: Responses) -> Comparison:
    wrong, read = [], 0
    for name, parser in PARSERS.items():
        try:
            _require_whole(responses.read(name, parser))
            read += 1
        except NotTested:
            continue
        except ValueError as error:
            wrong.append(f"{responses.by_name[name].method}: {error}")
    if not read and not wrong:
        raise NotTested("there is no response")
    found = f"{len(wrong)} of {read + len(wrong)} responses cannot be read"
    found += f", such as {wrong[0]}" if wrong else ""
    return compared("every response can be read", found, holds=not wrong)


def _require_whole(read: object) -> None:
    """Raises ValueError if a parser skipped a malformed row."""
    match read:
        case Candles(opened_at, values) if np.isnan(values).any():
            first = opened_at[np.isnan(values).any(axis=1)][0]
            raise ValueError(f"a value of the candle of {first} is not a number")
        case SettlementsPage() | DeliveryPage() | Readings() if read.malformed:
            raise ValueError(str(read.malformed[0]))


def _unknown_instrument(responses: Responses) -> Comparison:
    assumed = f"error {codes.INVALID_PARAMS} or {codes.NOT_FOUND}"
    code = responses.of("no-instrument").code
    return compared(
        assumed, "a result" if code is None else f"error {code}",
        holds=code in (codes.INVALID_PARAMS, codes.NOT_FOUND),
    )  # fmt: skip


PROTOCOL = (
    Assumption(
        "post-id",
        "The main host answers a JSON-RPC request over POST with the id of the request.",
        Known.DOCUMENTED,
        "",
        "Responses cannot be identified by their id: requests fall back to GET, and windows are "
        "cross-checked by their rows alone.",
        _post_id,
    ),
    Assumption(
        "post-id-archive",
        "The archive host refuses POST, or answers with the id null.",
        Known.SEEN,
        "",
        "Nothing is wrong: responses of the archive could be identified by their id too.",
        _post_id_of_archive,
        is_of_mainnet=True,
    ),
    Assumption(
        "envelope",
        "A response has `testnet`, which matches the environment, and `usIn` and `usOut` in "
        "microseconds, of which the first is when the request was received.",
        Known.RECORDED,
        "",
        "No response is accepted: report it to the maintainers.",
        _envelope,
    ),
    Assumption(
        "responses-readable",
        "Responses have the fields that the parsers need, and numbers are JSON numbers, also "
        "written `2.2e3`.",
        Known.RECORDED,
        "one recorded response of each method",
        "Days whose responses cannot be read fail with an error: report it to the maintainers.",
        _readable,
    ),
    Assumption(
        "error-instrument",
        f"An instrument that is not listed is refused with error {codes.INVALID_PARAMS} that names "
        f"`instrument_name`, or with {codes.NOT_FOUND}.",
        Known.SEEN,
        "",
        "A misspelt instrument is reported as any other error, with exit code 1 instead of 2.",
        _unknown_instrument,
    ),
    Assumption(
        "error-rate-limit",
        "Too many requests are refused with error 10028 under any HTTP status, or with HTTP 429 "
        "without a body.",
        Known.GUESS,
        "every client assumes HTTP 429; nothing recorded shows it",
        "Requests above the rate limit fail instead of being retried.",
        untested="it would need more requests than the exchange allows",
    ),
    Assumption(
        "limits-calls",
        f"A client may make {_DEFAULTS.requests_per_second:g} requests a second after a burst of "
        f"{_DEFAULTS.burst}.",
        Known.DOCUMENTED,
        "the limit for clients without an account is not published",
        "Requests are refused and retried after a pause: lower DERIBIT_REQUESTS_PER_SECOND and "
        "DERIBIT_BURST.",
        untested="it would need more requests than the exchange allows",
    ),
    Assumption(
        "limits-lists",
        "Lists of instruments may be requested once a second after a burst of 50, and the "
        "transaction log once a second after a burst of 8.",
        Known.DOCUMENTED,
        "",
        "Such requests are refused and retried after a pause.",
        untested="it would need more requests than the exchange allows",
    ),
)
