"""Faults on demand: each corrupts a response in a way that was observed or must be expected.

A fault turns the reply of the exchange into what is sent instead.
"""

import gzip
import random
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from deribit_pipeline.sandbox import corruptions, summary_faults, trade_faults
from deribit_pipeline.sandbox.chart_faults import CHART_CHANGES
from deribit_pipeline.sandbox.corruptions import Wire, with_result
from deribit_pipeline.sandbox.exchange import Reply
from deribit_pipeline.sandbox.market import DAY
from deribit_pipeline.sandbox.row_faults import CHANGES
from deribit_pipeline.sandbox.value_faults import VALUE_CHANGES

STALL = 60.0
"""Seconds of a stall: longer than any timeout of a client."""


def _every(chart: dict[str, Any], rows: Any) -> dict[str, Any]:
    return {name: values[rows] for name, values in chart.items() if name != "status"}


def _shuffled(chart: dict[str, Any]) -> dict[str, Any]:
    return _every(chart, np.roll(np.arange(len(chart["ticks"])), 1))


def _repeated(chart: dict[str, Any]) -> dict[str, Any]:
    rows = np.arange(len(chart["ticks"]))
    rows[1] = 0
    return _every(chart, rows)


def _ragged(chart: dict[str, Any]) -> dict[str, Any]:
    return {"close": chart["close"][:-1]}


def _off_grid(chart: dict[str, Any]) -> dict[str, Any]:
    ticks = chart["ticks"].copy()
    ticks[len(ticks) // 2] += 1_000
    return {"ticks": ticks}


def _another_resolution(chart: dict[str, Any]) -> dict[str, Any]:
    """Candles merged in groups of five, like those of a resolution five times as long."""
    firsts = np.arange(0, len(chart["ticks"]), 5)
    lasts = np.append(firsts[1:], len(chart["ticks"])) - 1
    return _every(chart, firsts) | {
        "high": np.maximum.reduceat(chart["high"], firsts),
        "low": np.minimum.reduceat(chart["low"], firsts),
        "close": chart["close"][lasts],
        "volume": np.add.reduceat(chart["volume"], firsts),
        "cost": np.add.reduceat(chart["cost"], firsts),
    }


def _another_instrument(chart: dict[str, Any]) -> dict[str, Any]:
    """Candles at a twentieth of the price; nothing else in the response reveals it."""
    prices = {name: np.round(chart[name] / 20, 2) for name in ("open", "high", "low", "close")}
    return prices | {"volume": chart["volume"] * 7 + 1, "cost": chart["cost"] * 3 + 1}


def _other_listing(reply: Reply) -> Wire:
    """An instrument with a listing time twenty days too late."""
    result = reply.body.get("result")
    if not isinstance(result, dict) or "creation_timestamp" not in result:
        return Wire(reply)
    later = {"creation_timestamp": result["creation_timestamp"] + 20 * DAY}
    return with_result(reply, result | later)


def _other_terms(reply: Reply) -> Wire:
    """A list of instruments whose first one has a tick size ten times too large."""
    result = reply.body.get("result")
    if not isinstance(result, list) or not result or "tick_size" not in result[0]:
        return Wire(reply)
    first = result[0] | {"tick_size": 10 * result[0]["tick_size"]}
    return with_result(reply, [first, *result[1:]])


def _empty(chart: dict[str, Any]) -> dict[str, Any]:
    return _every(chart, slice(0, 0)) | {"status": "no_data"}


def _wrong_testnet(reply: Reply) -> Wire:
    return Wire(Reply(reply.status, reply.body | {"testnet": not reply.body["testnet"]}))


def _post(change: Callable[[Reply], Wire]) -> Callable[[Reply], Wire]:
    """A fault of responses to a POST; only these have an `id`."""
    return lambda reply: change(reply) if "id" in reply.body else Wire(reply)


def _other_id(reply: Reply) -> Wire:
    number = reply.body["id"]
    other = number - 1 if isinstance(number, int) else "another"
    return Wire(Reply(reply.status, reply.body | {"id": other}))


def _later(microseconds: int) -> Callable[[Reply], Wire]:
    """Another time of the exchange in the envelope; the result is unchanged."""

    def fault(reply: Reply) -> Wire:
        times = {name: reply.body[name] + microseconds for name in ("usIn", "usOut")}
        return Wire(Reply(reply.status, reply.body | times))

    return fault


@lru_cache
def _bomb() -> bytes:
    """64 MiB of JSON in 64 KiB."""
    return gzip.compress(b'{"jsonrpc":"2.0","result":"' + b" " * 2**26 + b'"}')


_PAGE = "<html><body>{}</body></html>"
_HOUR = 3_600_000_000

FAULTS: dict[str, Callable[[Reply], Wire]] = {
    "429": corruptions.raw(429, ""),
    "10028_under_200": corruptions.error(200, 10028, "too_many_requests"),
    "10028_under_400": corruptions.error(400, 10028, "too_many_requests"),
    "10028_under_429": corruptions.error(429, 10028, "too_many_requests"),
    "503_html": corruptions.raw(503, "<html><body>Service Unavailable</body></html>"),
    "502": corruptions.raw(502, ""),
    "11051": corruptions.error(400, 11051, "system_maintenance"),
    "10041": corruptions.error(400, 10041, "settlement_in_progress"),
    "reset": lambda reply: Wire(reply, is_cut=True),
    "stall": lambda reply: Wire(reply, stall=STALL),
    "truncated": corruptions.raw(200, '{"jsonrpc":"2.0","result":{"ticks":[17040672'),
    "ragged": corruptions.chart(_ragged),
    "repeated": corruptions.chart(_repeated),
    "unordered": corruptions.chart(_shuffled),
    "off_grid": corruptions.chart(_off_grid),
    "lacks_first": corruptions.chart(
        lambda chart: _every(chart, slice(len(chart["ticks"]) // 3, None))
    ),
    "lacks_last": corruptions.chart(
        lambda chart: _every(chart, slice(0, -(len(chart["ticks"]) // 3)))
    ),
    "empty": corruptions.chart(_empty),
    "another_resolution": corruptions.chart(_another_resolution),
    "another_instrument": corruptions.chart(_another_instrument),
    "other_listing": _other_listing,
    "other_terms": _other_terms,
    "testnet": _wrong_testnet,
    "post_refused": _post(corruptions.raw(405, _PAGE.format("Method Not Allowed"))),
    "id_null": _post(lambda reply: Wire(Reply(reply.status, reply.body | {"id": None}))),
    "another_id": _post(_other_id),
    "403_html": corruptions.raw(403, _PAGE.format("Access denied")),
    "451_html": corruptions.raw(451, _PAGE.format("Unavailable For Legal Reasons")),
    "one_byte_a_second": lambda reply: Wire(reply, pause=1.0),
    "gzip": lambda reply: Wire(reply, is_gzip=True),
    "gzip_bomb": lambda reply: Wire(packed=_bomb()),
    "endless": lambda reply: Wire(is_endless=True),
    "an_hour_ahead": _later(_HOUR),
    "an_hour_behind": _later(-_HOUR),
}
FAULTS |= {name: corruptions.chart(change) for name, change in CHART_CHANGES.items()}
FAULTS |= {name: corruptions.rows(change) for name, change in (CHANGES | VALUE_CHANGES).items()}
FAULTS |= {name: corruptions.trades(change) for name, change in trade_faults.CHANGES.items()}
FAULTS |= {name: corruptions.summaries(change) for name, change in summary_faults.CHANGES.items()}


Where = Callable[[str, Reply], bool]
"""Decides by the method and the unmodified reply."""


class Faults:
    """Which responses are corrupted: a random share of all, the next ones in order, or all that
    match a condition."""

    def __init__(self, rates: dict[str, float] | None = None) -> None:
        self._rates = rates or {}
        self._rng = random.Random(0)
        self._next: list[tuple[str, str | None]] = []
        self._where: list[tuple[str, Where]] = []

    def corrupt_next(self, names: Iterable[str], method: str | None = None) -> None:
        """Corrupt the next responses, or the next of one method, one fault each in this order."""
        self._next.extend((name, method) for name in names)

    def corrupt_where(self, name: str, where: Where) -> None:
        """Corrupt every response for which `where` is true."""
        self._where.append((name, where))

    def corrupt_shares(self, rates: dict[str, float], seed: int = 0) -> None:
        """Corrupt these shares of all responses."""
        self._rates, self._rng = rates, random.Random(seed)

    def mend(self) -> None:
        """Stop corrupting responses."""
        self._rates, self._next, self._where = {}, [], []

    def on(self, method: str, reply: Reply) -> Wire:
        """The reply as it is sent."""
        if self._next and self._next[0][1] in (None, method):
            return FAULTS[self._next.pop(0)[0]](reply)
        for name, where in self._where:
            if where(method, reply):
                return FAULTS[name](reply)
        rng = self._rng.random()
        for name, rate in self._rates.items():
            rng -= rate
            if rng < 0:
                return FAULTS[name](reply)
        return Wire(reply)


def rates_from(texts: Iterable[str], names: Collection[str] = FAULTS) -> dict[str, float]:
    """Shares of faults with these names, written as on the command line: `ragged=0.2`, or
    `all=0.2`, which is divided equally among all of them. Raises ValueError."""
    rates: dict[str, float] = {}
    for text in texts:
        name, _, share = text.partition("=")
        rate = float(share or 1)
        if not 0 <= rate <= 1 or (name != "all" and name not in names):
            raise ValueError(f"a fault is NAME=SHARE with a name of {', '.join(names)} or all")
        rates |= dict.fromkeys(names, rate / len(names)) if name == "all" else {name: rate}
    if sum(rates.values()) > 1:
        raise ValueError(f"the shares add up to {sum(rates.values()):g}, which is more than 1")
    return rates
