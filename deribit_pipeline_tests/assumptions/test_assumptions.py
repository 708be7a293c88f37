"""Assumptions about the exchange are stated once, and each verdict follows from responses."""

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deribit_pipeline.assumptions import every_assumption as registry
from deribit_pipeline.assumptions.assumption import Assumption, Response, Responses, Verdict, judged
from deribit_pipeline.assumptions.every_assumption import ASSUMPTIONS
from deribit_pipeline.assumptions.findings import Report, report
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock, recorded
from deribit_pipeline_tests.helpers.broken_assumptions import BREAKS
from deribit_pipeline_tests.helpers.mutations import corrupted, hold

ROOT = Path(__file__).parents[2]
BY_ID = {assumption.id: assumption for assumption in ASSUMPTIONS}
TESTED = [assumption for assumption in ASSUMPTIONS if assumption.judge]

of_each = pytest.mark.parametrize("assumption", TESTED, ids=lambda assumption: assumption.id)


def of_sandbox(exchange: SandboxExchange, folder: Path) -> Report:
    """The report on a sandbox, over HTTP."""
    with serving(exchange) as url:
        return report(
            Settings(Environment.SANDBOX, url, warehouse=folder / "none", requests_per_second=1e6)
        )


@pytest.fixture(scope="module")
def exchange() -> SandboxExchange:
    return SandboxExchange(Clock(datetime(2024, 4, 10, 12, 0, 30, tzinfo=UTC)), per_second=0)


@pytest.fixture(scope="module")
def made(exchange: SandboxExchange, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report on a faithful exchange."""
    return of_sandbox(exchange, tmp_path_factory.mktemp("sandbox"))


@pytest.fixture(scope="module")
def pickled(made: Report) -> bytes:
    return pickle.dumps(made.responses.by_name)


@pytest.fixture
def by_name(pickled: bytes) -> dict[str, Response]:
    """What a faithful exchange responds, to be changed."""
    copied: dict[str, Response] = pickle.loads(pickled)
    return copied


def test_the_sandbox_passes_every_assumption_that_can_be_tested(made: Report) -> None:
    for finding in made.findings:
        wanted = Verdict.HOLDS if finding.assumption.judge else Verdict.NOT_TESTED
        assert finding.verdict is wanted, finding
        assert (finding.assumed and finding.found) or finding.reason
    assert made.is_reached
    assert made.responses.absent == {}


def test_some_thirty_public_requests_are_made(exchange: SandboxExchange, made: Report) -> None:
    assert 30 <= len(made.responses.by_name) <= 40
    assert all(method.startswith("public/") for method in exchange.requests)
    assert exchange.refused == 0


def test_an_assumption_is_stated_once_and_says_why_it_is_not_tested() -> None:
    assert len(BY_ID) == len(ASSUMPTIONS)
    assert len({one.statement for one in ASSUMPTIONS}) == len(ASSUMPTIONS)
    for one in ASSUMPTIONS:
        assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", one.id)
        assert len(one.id) <= 20
        assert bool(one.judge) != bool(one.untested)
        assert one.follows.endswith(".")


@of_each
def test_a_response_that_breaks_an_assumption_is_reported_to_differ(
    assumption: Assumption, by_name: dict[str, Response]
) -> None:
    BREAKS[assumption.id](by_name)
    finding = judged(assumption, Responses(by_name))
    assert finding.verdict is Verdict.DIFFERS
    assert finding.found
    assert finding.assumed != finding.found


def test_every_assumption_that_is_tested_has_a_response_that_breaks_it() -> None:
    assert set(BREAKS) == {assumption.id for assumption in TESTED}


@pytest.mark.parametrize(
    ("request_name", "within", "field"),
    [
        ("settlements", "settlements", "mark_price"),
        ("prices", "data", "delivery_price"),
        ("funding-day", "", "interest_1h"),
        ("dvol", "data", 2),
        ("trades", "trades", "price"),
        ("volatility", "", 1),
    ],
)
def test_a_single_malformed_row_is_one_that_cannot_be_read(
    request_name: str, within: str, field: str | int, by_name: dict[str, Response]
) -> None:
    """Also where a parser reads around it."""
    result: Any = by_name[request_name].result
    rows = result[within] if within else result
    rows[len(rows) // 2][field] = "much"
    finding = judged(BY_ID["responses-readable"], Responses(by_name))
    assert (finding.verdict, "1 of " in finding.found) == (Verdict.DIFFERS, True)


def test_a_trade_number_that_is_far_off_differs_and_takes_no_memory(
    by_name: dict[str, Response],
) -> None:
    result: Any = by_name["trades"].result
    result["trades"][-1]["trade_seq"] = 2**50
    finding = judged(BY_ID["trades-numbers"], Responses(by_name))
    assert (finding.verdict, "numbers missing among" in finding.found) == (Verdict.DIFFERS, True)
    assert judged(BY_ID["trades-hours"], Responses(by_name)).verdict is not Verdict.DIFFERS


@pytest.mark.parametrize(
    ("name", "page"), [("dvol-continuation", "dvol"), ("settlements-token", "settlements")]
)
def test_a_page_that_is_cut_and_says_nothing_of_an_older_one_differs(
    name: str, page: str, by_name: dict[str, Response]
) -> None:
    cut: Any = by_name[page].result
    by_name[page] = replace(by_name[page], result=cut | {"continuation": None})
    del by_name[f"{page}-older"]
    finding = judged(BY_ID[name], Responses(by_name))
    assert (finding.verdict, "no continuation" in finding.found) == (Verdict.DIFFERS, True)


@pytest.mark.parametrize(
    ("name", "request_of_most"),
    [("trades-most", "trades"), ("trades-most-archive", "trades-archive")],
)
def test_a_response_of_as_many_trades_as_are_requested_must_come(
    name: str, request_of_most: str, by_name: dict[str, Response]
) -> None:
    by_name[request_of_most] = replace(by_name[request_of_most], code=-32_602, message="count")
    finding = judged(BY_ID[name], Responses(by_name))
    assert (finding.verdict, "is refused" in finding.found) == (Verdict.DIFFERS, True)


@of_each
def test_without_a_response_an_assumption_could_not_be_tested(assumption: Assumption) -> None:
    finding = judged(assumption, Responses({}))
    assert finding.verdict is Verdict.NOT_TESTED
    assert "not requested" in finding.reason or finding.reason == "there is no response"


@of_each
def test_a_failure_is_the_reason_why_an_assumption_could_not_be_tested(
    assumption: Assumption, made: Report
) -> None:
    failed = {
        name: replace(response, result=None, code=None, message="", failure="no route to host")
        for name, response in made.responses.by_name.items()
    }
    finding = judged(assumption, Responses(failed))
    assert finding.verdict is Verdict.NOT_TESTED
    assert finding.reason in ("no route to host", "there is no response")


@of_each
def test_a_response_outside_the_protocol_differs(assumption: Assumption, made: Report) -> None:
    broken = {
        name: replace(response, malformed="`usIn` was null")
        for name, response in made.responses.by_name.items()
    }
    finding = judged(assumption, Responses(broken))
    assert finding.verdict is Verdict.DIFFERS
    assert "`usIn` was null" in finding.found


def test_a_fact_of_mainnet_is_not_tested_on_testnet(made: Report) -> None:
    for one in ASSUMPTIONS:
        finding = judged(one, made.responses, is_testnet=True)
        assert (finding.verdict is Verdict.HOLDS) == bool(one.judge and not one.is_of_mainnet)


def test_any_result_at_all_has_a_verdict(made: Report) -> None:
    """Small results, so that a mutation matters."""
    whole = {
        "day": recorded("tradingview_chart"),
        "funding-day": recorded("funding_rate_history"),
        "dvol": recorded("volatility_index"),
        "trades": recorded("trades_instrument"),
        "settlements": recorded("settlements_currency"),
        "prices": recorded("delivery_prices"),
        "instruments": recorded("instruments_future")[:2],
        "volatility": recorded("historical_volatility")[:5],
        "post": {"http_status": 200, "body": recorded("errors")["wrong_format"]["body"]},
    }
    twins = {"running": "day", "hours": "day", "quiet": "day", "settlements-both": "settlements",
             "settlements-older": "settlements", "funding-overflow": "funding-day",
             "dvol-older": "dvol", "dvol-hours": "dvol", "prices-oldest": "prices"}  # fmt: skip

    def law(text: str) -> None:
        results = json.loads(re.sub(r"\b(NaN|-?Infinity)\b", "null", text))
        if not isinstance(results, dict):
            return
        by_name = {
            name: replace(response, result=results.get(twins.get(name, name)))
            for name, response in made.responses.by_name.items()
        }
        for one in ASSUMPTIONS:
            finding = judged(one, Responses(by_name))
            assert (finding.assumed and finding.found) or finding.reason

    hold(law, 60, corrupted(whole, most=3))


RECORDED = {
    "candles-anchor-1d": ("anchor-1D", "tradingview_chart", Verdict.HOLDS),
    "candles-volume": ("day", "tradingview_chart", Verdict.HOLDS),
    "funding-sums": ("funding-day", "funding_rate_history", Verdict.HOLDS),
    "funding-chain": ("funding-day", "funding_rate_history", Verdict.HOLDS),
    "settlements-order": ("settlements-both", "settlements_currency", Verdict.HOLDS),
    "prices-order": ("prices", "delivery_prices", Verdict.HOLDS),
    "volatility-repeated": ("volatility", "historical_volatility", Verdict.HOLDS),
    "instruments-readable": ("instruments", "instruments_future", Verdict.HOLDS),
    "instruments-expiry": ("instruments", "instruments_future", Verdict.HOLDS),
    "currencies-settled": ("instruments", "instruments_option", Verdict.HOLDS),
    "fields-known": ("instruments", "instruments_option", Verdict.HOLDS),
    "trades-numbers": ("trades", "trades_instrument", Verdict.HOLDS),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_responses_of_the_live_exchange_hold(name: str, made: Report) -> None:
    request, file, verdict = RECORDED[name]
    former = made.responses.by_name[request]
    responses = Responses({request: replace(former, result=recorded(file))})
    assert judged(BY_ID[name], responses).verdict is verdict


def changed(**attributes: Any) -> Callable[[SandboxExchange], None]:
    def change(exchange: SandboxExchange) -> None:
        for path, value in attributes.items():
            part, _, name = path.partition("__")
            setattr(getattr(exchange, part) if name else exchange, name or part, value)

    return change


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        (changed(charts__anchor=8 * 3_600_000), {"candles-anchor-360", "candles-anchor-720"}),
        (changed(funding__keeps_newest=False), {"funding-kept-end"}),
        (changed(funding__begins_inclusive=True), {"funding-start"}),
        (changed(volatility_index__repeats=True), set()),
        (changed(trades__lag=26 * 3_600_000), {"trades-archived"}),
    ],
)
def test_a_sandbox_that_behaves_otherwise_differs_in_just_that(
    change: Callable[[SandboxExchange], None],
    differing: set[str],
    sandbox: SandboxExchange,
    tmp_path: Path,
) -> None:
    change(sandbox)
    found = of_sandbox(sandbox, tmp_path).findings
    differs = {one.assumption.id for one in found if one.verdict is Verdict.DIFFERS}
    assert differing <= differs <= differing | {"candles-anchor-180"}


def test_the_page_of_assumptions_is_current() -> None:
    page = (ROOT / "docs/assumptions.md").read_text()
    assert page == registry.markdown(), "run `make docs`"
