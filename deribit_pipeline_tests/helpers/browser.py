"""A browser of this machine, and a user's actions in Dagster's pages."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Two cores, with other tests in parallel.
_PATIENCE_MS = 60_000


@contextmanager
def browsing(width: int = 1400, height: int = 900) -> Iterator[Page]:
    """A browser page with time zone UTC and language English."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        with browser:
            page = browser.new_page(
                viewport={"width": width, "height": height}, timezone_id="UTC", locale="en-US"
            )
            page.set_default_timeout(_PATIENCE_MS)
            yield page


def launch_backfill(page: Page, instrument_name: str, days: str) -> Locator:
    """Choose an instrument's days on the page of an asset and launch; returns the link to the
    backfill."""
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog").filter(has_text="Launch runs to materialize")
    chosen = dialog.get_by_placeholder("ex: 2018-08-01")
    chosen.wait_for()  # until then, days too are chosen from a list
    dialog.get_by_text("Select a partition or create one").click()
    page.get_by_role("menuitem", name=instrument_name).click()
    page.keyboard.press("Escape")  # closes the list of instruments
    chosen.fill(days)
    chosen.press("Enter")
    dialog.get_by_role("button", name="Launch backfill").click()
    return page.get_by_role("listitem").filter(has_text="Created backfill").get_by_role("link")


def text_under_pointer(page: Page, wanted: re.Pattern[str]) -> str:
    """Move the pointer over the first picture of a page until the tooltip is the expected text."""
    picture = page.locator("canvas, svg.marks").first
    picture.wait_for()
    box = picture.bounding_box()
    assert box
    returned = page.locator("#vg-tooltip-element")
    for y in range(int(box["y"]) + 4, int(box["y"] + box["height"]), 8):
        for x in range(int(box["x"]) + 2, int(box["x"] + box["width"]), 8):
            page.mouse.move(x, y)
            if returned.count() and wanted.search(text := returned.inner_text()):
                return text
    raise AssertionError(f"nothing in the picture tells of {wanted.pattern}")


def show_picture(page: Page) -> Locator:
    """Open the entry `picture` of an event's metadata; returns the image."""
    entry = page.get_by_role("row").filter(has=page.get_by_role("cell", name="picture", exact=True))
    entry.get_by_text("Show Markdown").first.click()
    picture = page.get_by_role("dialog").locator("img[src^='data:image/']").first
    picture.wait_for()
    return picture
