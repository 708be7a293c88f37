"""Dagster's UI in a browser: launching, watching, checking, and viewing the pictures."""

import re
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Page, expect

from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.browser import (
    CHROMIUM,
    browsing,
    launch_backfill,
    show_picture,
    text_under_pointer,
)
from deribit_pipeline_tests.helpers.dagster_ui import DagsterUI, dagster_dev
from deribit_pipeline_tests.helpers.processes import environment, script

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]

ETH = "ETH-PERPETUAL"
KEYS = {f"{ETH}|2024-01-02", f"{ETH}|2024-01-03"}


def test_two_days_are_filled_checked_and_looked_at_by_clicking(settings: Settings) -> None:
    with dagster_dev(settings) as ui, browsing() as page:
        page.goto(f"{ui.url}/assets/candles_1m?view=partitions")
        link = launch_backfill(page, ETH, "[2024-01-02...2024-01-03]")
        the_backfill_is_watched_to_its_end(page, link.get_attribute("href"), ui)
        exactly_these_days_are_held(settings, ui)
        the_check_says_that_the_exchange_is_reachable(page, ui)
        the_partition_shows_its_picture(page, ui)


def the_backfill_is_watched_to_its_end(page: Page, path: str | None, ui: DagsterUI) -> None:
    assert path
    page.goto(ui.url + path)
    expect(page.get_by_text("100% completed")).to_be_visible(timeout=180_000)
    expect(page.get_by_text("Succeeded", exact=True).first).to_be_visible()
    backfill = path.rsplit("/", 1)[-1]
    assert ui.end_of(backfill) == "COMPLETED_SUCCESS", ui.errors_of(backfill)


def exactly_these_days_are_held(settings: Settings, ui: DagsterUI) -> None:
    shown = ui.partitions("candles_1m")
    assert (shown.materialized, shown.failed) == (2, 0)
    assert all(shown.made_on(*key.split("|")) for key in KEYS)
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        days = connection.execute(
            "select instrument_name || '|' || day, state, received from candle_days"
        ).fetchall()
        candles = connection.execute("select count(*) from complete_candles").fetchall()
    assert set(days) == {(key, "complete", 1_440) for key in KEYS}
    assert candles == [(2_880,)]


def the_partition_shows_its_picture(page: Page, ui: DagsterUI) -> None:
    key = f"{ETH}|2024-01-03"  # the newest of the run, which keeps the picture of all
    page.goto(f"{ui.url}/assets/candles_1m?view=partitions&partition={key}")
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    picture = show_picture(page)
    assert picture.evaluate("picture => picture.complete && picture.naturalWidth") > 0


def the_check_says_that_the_exchange_is_reachable(page: Page, ui: DagsterUI) -> None:
    page.goto(f"{ui.url}/assets/deribit_api?view=checks")
    page.get_by_role("button", name="Execute", exact=False).last.click()
    expect(page.get_by_text("Passed", exact=True)).to_be_visible(timeout=180_000)
    answered = page.get_by_role("row").filter(has_text="answers with HTTP 200")
    expect(answered.get_by_role("cell").first).to_have_text("reachable")


def test_the_coverage_page_tells_the_proof_of_the_day_under_the_pointer(
    settings: Settings, tmp_path: Path
) -> None:
    env = environment(settings)
    days = ("--start", "2024-01-01", "--end", "2024-01-14", "--resolution", "60")
    output = script("backfill", "--instruments", ETH, *days, env=env, cwd=tmp_path)
    assert output.returncode == 0, output.stderr
    output = script("coverage", "--html", "coverage.html", env=env, cwd=tmp_path)
    assert output.returncode == 0, output.stderr
    with browsing() as page:
        requested_elsewhere: list[str] = []
        page.on("request", lambda request: requested_elsewhere.append(request.url))
        page.goto((tmp_path / "coverage.html").as_uri())
        proof = text_under_pointer(page, re.compile("2024-01-02"))
    assert f"{ETH} 1h" in proof
    assert "24 candles" in proof
    assert [url for url in requested_elsewhere if not url.startswith(("file:", "data:"))] == []
