"""Takes the README's screenshots from the sandbox: `make screenshots`."""

import os
import re
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from math import exp
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, expect

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.server import serving
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.browser import (
    CHROMIUM,
    browsing,
    show_picture,
    text_under_pointer,
)
from deribit_pipeline_tests.helpers.dagster_ui import DagsterUI, dagster_dev
from deribit_pipeline_tests.helpers.option_chains import (
    Market,
    expiry_after,
    insert_rows,
    options_of,
)
from deribit_pipeline_tests.helpers.processes import environment, script

BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
ASSETS = ("candles_1m", "candles_1h", "candles_1d")
GROUPS = ("exchange", "candles_minutes", "candles_hours", "candles_days")
NOW = datetime(2024, 3, 10, 12, 0, tzinfo=UTC)


def ms(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1_000)  # type: ignore[misc]


def backfill(settings: Settings, instrument_name: str, start: str, end: str, *more: str) -> None:
    """Fill days from the command line."""
    days = ("--instruments", instrument_name, "--start", start, "--end", end)
    folder = settings.dagster_home.parent
    output = script("backfill", *days, *more, env=environment(settings), cwd=folder)
    assert output.returncode == 0, output.stderr


def fill(settings: Settings, sandbox: SandboxExchange) -> None:
    """Ten weeks with everything that a warehouse can show: gaps, a dead day, a revision, an open
    day, and days that were never requested."""
    sandbox.charts.omit(BTC, ms(2024, 1, 17, 3), ms(2024, 1, 17, 3, 45))
    sandbox.charts.omit(ETH, ms(2024, 1, 17, 3), ms(2024, 1, 17, 3, 30))
    sandbox.charts.omit(ETH, ms(2024, 2, 8), ms(2024, 2, 9))
    backfill(settings, f"{BTC},{ETH}", "2024-01-01", "2024-02-18", "--resolution", "1")
    backfill(settings, BTC, "2024-02-19", "2024-03-10", "--resolution", "1")
    backfill(settings, ETH, "2024-02-26", "2024-03-05", "--resolution", "1")
    backfill(settings, f"{BTC},{ETH}", "2024-01-01", "2024-03-09", "--resolution", "60")
    sandbox.charts.revise(BTC, ms(2024, 2, 1, 14, 30), 12_345.0)
    backfill(settings, BTC, "2024-02-01", "2024-02-01", "--resolution", "1", "--force")


def launch(page: Page, ui: DagsterUI) -> None:
    """Make a week of each asset in the UI too, which runs their checks; run `is_reachable`."""
    week = [f"{name}|2024-01-{day}" for name in (BTC, ETH) for day in range(15, 22)]
    for backfill_id in [ui.launch(asset, week) for asset in ASSETS]:
        ui.end_of(backfill_id)
    page.goto(f"{ui.url}/assets/deribit_api?view=checks")
    page.get_by_role("button", name="Execute").last.click()
    expect(page.get_by_text("Passed", exact=True)).to_be_visible(timeout=60_000)


def lineage(page: Page, ui: DagsterUI, target: Path) -> None:
    page.set_viewport_size({"width": 1400, "height": 1360})
    chosen = " or ".join(f'key:"{name}"' for name in ("deribit_api", *ASSETS))
    groups = ",".join(f"global@global:{group}" for group in GROUPS)
    page.goto(f"{ui.url}/asset-groups~{quote(chosen)}?expanded={quote(groups)}")
    page.get_by_text("candles_1d", exact=True).last.wait_for()
    page.get_by_role("button", name="Hide navigation").click()
    page.wait_for_timeout(1_000)
    page.reload()  # fits the graph into what is now free
    page.wait_for_timeout(6_000)
    page.screenshot(path=target)


def partitions(page: Page, ui: DagsterUI, target: Path) -> None:
    page.set_viewport_size({"width": 1400, "height": 760})
    page.goto(f"{ui.url}/assets/candles_1m?view=partitions&partition={BTC}%7C2024-02-01")
    days = page.get_by_placeholder("ex: 2018-08-01")
    days.fill("[2024-01-01...2024-03-10]")
    days.press("Enter")
    days.blur()
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    page.wait_for_timeout(2_500)
    page.screenshot(path=target)


def run(page: Page, ui: DagsterUI, target: Path) -> None:
    page.set_viewport_size({"width": 1400, "height": 760})
    page.goto(f"{ui.url}/assets/candles_1m?view=partitions&partition={ETH}%7C2024-01-21")
    show_picture(page)
    page.wait_for_timeout(1_000)
    page.screenshot(path=target)


def coverage(page: Page, settings: Settings, target: Path) -> None:
    folder = settings.dagster_home.parent
    output = script("coverage", "--html", "coverage.html", env=environment(settings), cwd=folder)
    assert output.returncode == 0, output.stderr
    page.set_viewport_size({"width": 1400, "height": 600})
    page.goto((folder / "coverage.html").as_uri())
    page.locator("canvas, svg.marks").first.wait_for()
    text_under_pointer(page, re.compile("2024-01-17"))
    page.wait_for_timeout(1_000)
    page.screenshot(path=target, full_page=True)


def smiles(page: Page, settings: Settings, target: Path) -> None:
    """An invented market, whose smiles have as many expiries as that of the exchange."""
    folder = settings.dagster_home.parent
    apart = replace(settings, warehouse=Path("sandbox.duckdb"))
    expiries = [expiry_after(NOW, days) for days in (1, 2, 5, 12, 19, 47, 110, 201, 292)]
    stored = Warehouse(folder / apart.warehouse, Environment.SANDBOX)
    with stored.writing() as connection:
        for number, expiry in enumerate(expiries):
            steps = range(-24, 25)
            width = min(0.05, 0.004 * (number + 2))
            strikes = sorted({round(120 * exp(width * step)) / 120 for step in steps})
            market = Market(volatility=0.5 + 0.01 * number, strikes=strikes)
            insert_rows(connection, options_of(market, NOW, [expiry]))
    output = script(
        "chart", "--smile", "BTC", "--html", "smile.html", env=environment(apart), cwd=folder
    )
    assert output.returncode == 0, output.stderr
    page.set_viewport_size({"width": 1400, "height": 400})
    page.goto((folder / "smile.html").as_uri())
    page.locator("body[data-drawn]").wait_for()
    page.screenshot(path=target, full_page=True)


def main(folder: Path) -> None:
    """Write the five pictures into a folder."""
    if CHROMIUM is None:
        sys.exit("There is no chromium on this machine: apt-get install chromium.")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_RUNTIME_DIR"] = temporary  # where the rate limit is kept
        sandbox = SandboxExchange(NOW.timestamp, per_second=0)
        with serving(sandbox) as url, browsing() as page:
            settings = replace(
                Settings(),
                environment=Environment.SANDBOX,
                base_url=url,
                warehouse=Path("data/sandbox.duckdb"),
                dagster_home=Path(temporary) / "dagster_home",
                requests_per_second=1_000_000.0,
            )
            fill(settings, sandbox)
            coverage(page, settings, folder / "coverage.png")
            smiles(page, settings, folder / "smile.png")
            with dagster_dev(settings) as ui:
                launch(page, ui)
                lineage(page, ui, folder / "lineage.png")
                partitions(page, ui, folder / "partitions.png")
                run(page, ui, folder / "run.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
