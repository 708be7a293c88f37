"""The pages in chromium: on a phone, with hundreds of series, and zoomed."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from deribit_pipeline.domain.candles import Candles
from deribit_pipeline.domain.windows import TimeWindow, day_window
from deribit_pipeline.pages.chart_page import chart_page
from deribit_pipeline.pages.chart_series import Level, Series
from deribit_pipeline_tests.helpers.browser import CHROMIUM, browsing
from deribit_pipeline_tests.pages.test_pictures import (
    MADE,
    MINUTE,
    NEW_YEAR,
    covered,
    many_series,
    proof,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]


def opened(page: Page, folder: Path, text: str) -> None:
    file = folder / "page.html"
    file.write_text(text)
    page.goto(file.as_uri())
    page.locator("body[data-drawn]").wait_for()


def test_on_a_phone_the_page_is_as_wide_as_the_screen(tmp_path: Path) -> None:
    with browsing(width=390, height=844) as page:
        opened(page, tmp_path, covered(many_series()[:20], made=MADE))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box = page.locator("svg.marks").bounding_box()
        assert box
        assert box["x"] + box["width"] <= 390


def test_groups_are_drawn_when_opened_and_filtered_by_name(tmp_path: Path) -> None:
    with browsing() as page:
        opened(page, tmp_path, covered(many_series(), made=MADE))
        assert page.locator("svg.marks").count() == 1  # of those without an expiry
        page.get_by_text("BTC 5JAN24").first.click()
        expect(page.locator("svg.marks")).to_have_count(2)
        page.get_by_role("searchbox").fill("26jan24 -3 1m")
        expect(page.get_by_text("11 series match")).to_be_visible()  # 3 and 30 to 39
        expect(page.locator("details:not([hidden])")).to_have_count(1)
        shown = page.locator("details:not([hidden]) svg.marks")
        expect(shown).to_have_count(1)
        labels = [text for text in shown.locator("text").all_text_contents() if "BTC" in text]
        assert len(labels) == 11
        page.get_by_role("searchbox").fill("")
        expect(page.locator("details:not([hidden])")).to_have_count(4)


def test_a_chart_that_is_zoomed_shows_finer_candles(tmp_path: Path) -> None:
    window = TimeWindow(day_window(NEW_YEAR).start, day_window(NEW_YEAR).start + timedelta(7))
    levels = []
    for minutes in (5, 1):
        count = 7 * 1_440 // minutes
        step = np.timedelta64(minutes, "m").astype("timedelta64[ms]")
        opened_at = np.datetime64("2024-01-01", "ms") + np.arange(count) * step
        values = np.tile([1.0, 3.0, 0.5, 2.0, 10.0, 20.0], (count, 1))
        held = np.full(count, minutes)
        levels.append(Level(timedelta(minutes=minutes), Candles(opened_at, values), held))
    proofs = {each.day: each for each in [proof(NEW_YEAR + timedelta(n)) for n in range(7)]}
    first, *finer = levels
    one = Series(
        "BTC", MINUTE, window, first.length, first.candles, first.held, proofs, finer
    )  # fmt: skip
    with browsing() as page:
        opened(page, tmp_path, chart_page([one], "w.duckdb", MADE))
        box = page.locator("svg.marks, canvas").first.bounding_box()
        assert box
        tooltip = page.locator("#vg-tooltip-element")
        x, y = box["x"] + box["width"] / 2, box["y"] + 100
        page.mouse.move(x, y)
        expect(tooltip).to_contain_text("5 of 5 candles")
        for _ in range(10):
            page.mouse.wheel(0, -200)
        page.mouse.move(x + 3, y)
        expect(tooltip).to_contain_text("volume, BTC")
        expect(tooltip).not_to_contain_text("made of")
