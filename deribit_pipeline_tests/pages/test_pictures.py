"""HTML pages: every day with its proof, candles rolled up, nothing loaded from another host."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from deribit_pipeline.cli import coverage
from deribit_pipeline.datasets.candles import reads
from deribit_pipeline.datasets.candles.rollup import rolled_up
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.proofs import DayState, Proof
from deribit_pipeline.domain.windows import TimeWindow, day_window
from deribit_pipeline.pages.chart_page import (
    MOST_CANDLES,
    MOST_IN_PAGE,
    chart_page,
    finer_lengths,
    fitting_length,
)
from deribit_pipeline.pages.chart_series import Series
from deribit_pipeline.pages.coverage_days import DayKey, series_days
from deribit_pipeline.pages.coverage_page import coverage_page
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.configured_commands import WEEK, Command, assert_wrong, rows

MINUTE = Resolution.MINUTE_1
NEW_YEAR = date(2024, 1, 1)
ODD = "</script><b>&\"',\n"


def proof(day: date, state: DayState = DayState.COMPLETE, name: str = "BTC", **more: Any) -> Proof:
    counts = {"expected": 1440, "received": 1440, "missing": 0, "without_trades": 2, "revised": 0}
    return Proof(
        "candles_1m", name, day, state, content_hash="00", verdict="",
        fetched_at=datetime(2024, 5, 1, tzinfo=UTC),
        **counts | more,
    )  # fmt: skip


def covered(
    proofs: Sequence[Proof],
    gaps: Mapping[DayKey, Sequence[str]] = MappingProxyType({}),
    source: str = "w.duckdb",
    made: str = "",
) -> str:
    """The coverage page of these days, by series."""
    series = [
        series_days(list(days), {}, gaps, {}) for _, days in groupby(proofs, lambda day: day.series)
    ]
    return "".join(coverage_page(series, source, made))


def views(page: str) -> list[dict[str, Any]]:
    """The specification that the page passes to Vega."""
    found = re.search(r'<script type="application/json" id="pictures">(.*?)</script>', page)
    assert found
    return list(json.loads(found[1])["views"])


def data(page: str) -> list[dict[str, str]]:
    """The rows of every table in the page's views."""
    tables = [table for view in views(page) for table in view["datasets"].values()]
    return [row for table in tables for row in csv.DictReader(io.StringIO(table))]


def cells(page: str) -> dict[str, dict[str, str]]:
    return {row["day"]: row for row in data(page) if "run_id" in row}


def a_series(proofs: list[Proof], days: int = 1, name: str = "BTC") -> Series:
    opened_at = np.array(["2024-01-01T00:00", "2024-01-01T12:00"], "datetime64[ms]")
    values = np.array([[1.0, 3.0, 0.5, 2.0, 10.0, 20.0], [2.0, 2.5, 1.0, 1.5, 5.0, 7.5]])
    window = TimeWindow(day_window(NEW_YEAR).start, day_window(NEW_YEAR).start + timedelta(days))
    return Series(
        name, MINUTE, window, timedelta(hours=12), Candles(opened_at, values), np.array([720, 700]),
        {proof.day: proof for proof in proofs},
    )  # fmt: skip


def test_each_held_day_is_a_cell_with_its_proof(
    command: Command, sandbox: SandboxExchange, settings: Settings, tmp_path: Path
) -> None:
    sandbox.charts.omit("BTC-PERPETUAL", 1_704_153_600_000, 1_704_153_660_000)
    command("backfill", *WEEK)
    page = tmp_path / "coverage.html"
    output = command("coverage", "--instruments", "BTC-PERPETUAL", "--html", str(page))
    assert output.code == 0
    assert "6 complete, 1 gapped" in output.out
    held = cells(page.read_text())
    assert len(held) == 7
    gapped = held["2024-01-02"]
    assert (gapped["state"], gapped["expected"], gapped["missing"]) == ("gapped", "1440", "1")
    assert gapped["gaps"] == "00:00"
    assert [(gapped["run_id"],)] == rows(settings, "select distinct run_id from candle_days")
    assert [path.name for path in tmp_path.glob("*.html*")] == ["coverage.html"]


def test_proofs_read_in_parts_make_the_same_page(
    command: Command, sandbox: SandboxExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.charts.omit("ETH-PERPETUAL", 1_704_153_600_000, 1_704_153_660_000)
    for more in ((), ("--resolution", "60"), ("--dataset", "funding_rates")):
        command("backfill", *WEEK, *more)
    found = []
    for most in (50_000, 7, 1):
        monkeypatch.setattr(coverage, "_MOST_DAYS", most)
        page = tmp_path / f"{most}.html"
        output = command("coverage", "--html", str(page)).out
        found.append((output, re.sub("<title>.*</title>", "", page.read_text())))
    assert found[0] == found[1] == found[2]
    assert len(cells(found[0][1])) == 7
    assert "gapped" in found[0][0]


def test_gaps_beyond_those_named_are_counted() -> None:
    key = ("candles_1m", "BTC", NEW_YEAR)
    gaps = {key: ["03:00", "03:01"]}
    page = covered([proof(NEW_YEAR, DayState.GAPPED, missing=1200)], gaps)
    assert cells(page)["2024-01-01"]["gaps"] == "03:00, 03:01 and 1,198 more"


def test_a_long_history_has_a_row_for_each_year() -> None:
    days = [date(2022, 2, 28), date(2023, 7, 1), date(2024, 2, 29)]
    page = covered([proof(day) for day in days])
    assert [cell["row"] for cell in cells(page).values()] == ["0", "1", "2"]
    [view] = views(page)
    [labels] = [one["value"] for one in view["params"] if one["name"] == "labels"]
    assert labels == ["BTC 1m   2022", "2023", "2024"]
    assert [cell["days"] for cell in cells(page).values()] == ["2", "1", "1"]  # no 29th in 2022


def test_a_page_loads_nothing_from_elsewhere() -> None:
    for page in (
        covered([proof(NEW_YEAR)]),
        chart_page([a_series([proof(NEW_YEAR)])], "w.duckdb"),
    ):
        own = page.replace(re.findall(r"<script>.*?</script>", page, re.DOTALL)[0], "")
        assert not re.search(r"https?://", re.sub(r'"\$schema":"[^"]*"', "", own))
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
        assert not re.search(r"""(import|url)\s*\(?\s*["']?https?://""", page)
        assert "default-src 'none'" in page  # and the browser sees to it


def test_unusual_names_stay_text() -> None:
    calendars = covered([proof(NEW_YEAR, name=ODD)], source=ODD)
    drawn = chart_page([a_series([proof(NEW_YEAR)], name=ODD)], ODD)
    for page in (calendars, drawn):
        assert "<b>" not in page.split("<script>")[0]
        assert len(views(page)) == 1
    assert cells(calendars)["2024-01-01"]["series"] == f"{ODD} 1m"


def test_days_that_are_not_complete_are_marked() -> None:
    days = [NEW_YEAR + timedelta(n) for n in range(5)]
    page = chart_page(
        [a_series([proof(days[0]), proof(days[1], DayState.GAPPED, missing=3),
                   proof(days[2], DayState.GAPPED, missing=4), proof(days[4], DayState.OPEN)], 5)],
        "w.duckdb",
    )  # fmt: skip
    marked = {row["days"]: (row["words"], row["missing"]) for row in data(page) if "words" in row}
    assert marked == {
        "2024-01-02 to 2024-01-03": ("gapped", "7"),
        "2024-01-04": ("never requested", "0"),
        "2024-01-05": ("open", "0"),
    }
    assert "days: 1 complete, 1 open, 2 gapped, 1 never requested" in page


@pytest.mark.parametrize(
    ("resolution", "days", "minutes"),
    [
        ("1", 2, 1),
        ("1", 3, 3),
        ("1", 22, 15),
        ("1", 365, 180),
        ("60", 851, 720),
        ("1D", 3001, 2880),
    ],
)
def test_more_candles_than_a_screen_shows_are_rolled_up(
    resolution: str, days: int, minutes: int
) -> None:
    length = Resolution(resolution)
    window = TimeWindow(day_window(NEW_YEAR).start, day_window(NEW_YEAR).start + timedelta(days))
    drawn = fitting_length(length, window, days * length.candles_per_day)
    assert drawn == timedelta(minutes=minutes)
    assert window.duration / drawn <= MOST_CANDLES


def test_a_longer_candle_is_made_of_those_that_open_in_it(
    command: Command, warehouse: Warehouse
) -> None:
    command("backfill", *WEEK)
    window = day_window(NEW_YEAR)
    with warehouse.reading() as connection:
        minutes = reads.candles(connection, "BTC-PERPETUAL", MINUTE, window)
        hours, held = rolled_up(connection, "BTC-PERPETUAL", MINUTE, window, timedelta(hours=1))
    by_hour = minutes.values.reshape(24, 60, 6)
    assert hours.opened_at.tolist() == minutes.opened_at[::60].tolist()
    assert hours.values[:, :4].tolist() == np.column_stack(
        (by_hour[:, 0, 0], by_hour[:, :, 1].max(1), by_hour[:, :, 2].min(1), by_hour[:, -1, 3])
    ).tolist()  # fmt: skip
    assert hours.values[:, 4:] == pytest.approx(by_hour[:, :, 4:].sum(1))
    assert held.tolist() == [60] * 24


def test_a_chart_says_that_it_is_rolled_up(command: Command, tmp_path: Path) -> None:
    command("backfill", *WEEK)
    page = tmp_path / "chart.html"
    output = command("chart", *WEEK, "--html", str(page))
    assert (output.code, output.out) == (0, "")
    assert "5m candles, rolled up from 10,080 candles of 1m" in page.read_text()
    assert len([row for row in data(page.read_text()) if "volume_base" in row]) >= 2 * 7 * 288


@pytest.mark.parametrize(
    ("resolution", "candles", "opens"),
    [("60", 48, "2024-01-01T00:00"), ("1D", 3, "2023-12-31T08:00")],
)
def test_where_only_minutes_are_held_a_chart_is_made_of_them(
    command: Command, tmp_path: Path, resolution: str, candles: int, opens: str
) -> None:
    command("backfill", *WEEK)
    page = tmp_path / "chart.html"
    days = ("--instruments", "BTC-PERPETUAL", "--start", "2024-01-01", "--end", "2024-01-02")
    output = command("chart", *days, "--resolution", resolution, "--html", str(page))
    assert output.code == 0
    label = Resolution(resolution).label
    assert f"{label} candles, rolled up from 2,880 candles of 1m." in page.read_text()
    drawn = [row for row in data(page.read_text()) if "volume_base" in row]
    assert len(drawn) == candles
    assert np.datetime64(int(drawn[0]["opened"]), "ms") == np.datetime64(opens)
    assert drawn[1]["held"] == drawn[1]["expected"]


def test_what_cannot_be_drawn_or_written_is_one_sentence(
    command: Command, settings: Settings, tmp_path: Path
) -> None:
    command("backfill", *WEEK)
    page = str(tmp_path / "page.html")
    assert_wrong(
        command("chart", "--instruments", "SOL_USDC-PERPETUAL", "--html", page),
        "holds no 1m candle of SOL_USDC-PERPETUAL",
    )
    late = ("--start", "2024-02-01", "--html", page)
    assert_wrong(
        command("chart", "--instruments", "BTC-PERPETUAL", *late),
        "holds no 1m candle of BTC-PERPETUAL from 2024-02-01",
    )
    hourly = ("--instruments", "ETH_USDC-PERPETUAL", "--resolution", "60", "--html", page)
    assert_wrong(command("chart", *hourly), "holds no 1h or 1m candle of ETH_USDC-PERPETUAL.")
    assert_wrong(command("coverage", "--html", f"{tmp_path}/none/x.html"), "is not a folder")
    assert_wrong(command("coverage", "--html", str(tmp_path)), "is a folder")
    before = settings.warehouse.read_bytes()
    assert_wrong(command("coverage", "--html", str(settings.warehouse)), "is not an HTML page")
    assert settings.warehouse.read_bytes() == before


def test_a_chart_has_finer_candles_for_zooming(command: Command, tmp_path: Path) -> None:
    command("backfill", *WEEK)
    page = tmp_path / "chart.html"
    command("chart", "--instruments", "BTC-PERPETUAL", "--html", str(page))
    text = page.read_text()
    assert "which are more than a screen shows; zoom in for 1m." in text
    lengths = [row["length"] for row in data(text) if "volume_base" in row]
    parts = text.count('"vconcat":')
    assert Counter(lengths) == {"300000": 7 * 288 * parts, "60000": 7 * 1_440 * parts}
    # The shortest that fit on a screen: minutes where at most 3,000 of them are visible.
    [view] = views(text)
    assert f"<= {MOST_CANDLES * 60_000} ? 60000 : 300000)" in json.dumps(view)


@pytest.mark.parametrize(
    ("resolution", "length", "held", "finer"),
    [
        ("1", 5, 10_080, [1]),
        ("1", 180, 525_600, [60, 15]),
        ("1", 1, 1_440, []),
        ("60", 720, 20_000, [240, 60]),
        ("1D", 2_880, 3_001, [1_440]),
    ],
)
def test_levels_of_zoom_are_as_fine_as_a_page_has_room_for(
    resolution: str, length: int, held: int, finer: list[int]
) -> None:
    found = finer_lengths(Resolution(resolution), timedelta(minutes=length), held)
    assert found == [timedelta(minutes=minutes) for minutes in finer]
    assert sum(held * Resolution(resolution).duration // each for each in found) <= MOST_IN_PAGE


@pytest.mark.parametrize(
    ("name", "base", "quote"),
    [
        ("BTC-PERPETUAL", "BTC", "USD"),
        ("SOL_USDC-PERPETUAL", "SOL", "USDC"),
        ("ETH_BTC", "ETH", "BTC"),
        ("BTC-26JAN24-45000-C", "BTC", "BTC"),
        ("XRP_USDC-30JUN23-0d625-C", "XRP", "USDC"),
    ],
)
def test_a_chart_names_its_instrument_and_currencies(name: str, base: str, quote: str) -> None:
    made = "sandbox · 2024-05-01 12:00 UTC"
    page = chart_page([a_series([proof(NEW_YEAR)], name=name)], "w.duckdb", made)
    assert f"<title>Candles of {name} · {made}</title>" in page
    [view] = views(page)
    assert {f'"title": "price, {quote}"' in json.dumps(view),
            f'"title": "volume, {base}"' in json.dumps(view)} == {True}  # fmt: skip
    assert f'"value, {quote}": format' in json.dumps(view).replace('\\"', '"')


MADE = "sandbox · 2024-05-01 12:00 UTC"
OPTIONS = [f"BTC-{expiry}-{strike}-C" for expiry in ("26JAN24", "5JAN24") for strike in range(40)]
COMBO = "ETH-FS-29MAR24_PERP"


def many_series() -> list[Proof]:
    return [proof(NEW_YEAR, name=name) for name in ("BTC-PERPETUAL", *OPTIONS, COMBO)]


def groups(page: str) -> list[tuple[str, str, str]]:
    """Of each group: whether it is open, its title and its note."""
    pattern = r'<details class="group"( open)?><summary><b>(.*?)</b> <span>(.*?)</span>'
    return [(is_open.strip(), title, note) for is_open, title, note in re.findall(pattern, page)]


def table(page: str) -> list[list[str]]:
    """The rows of the totals, the header first."""
    lines = re.findall(
        r"<tr>(.*?)</tr>", page.partition('id="totals"')[2].partition("</table>")[0], re.DOTALL
    )
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in lines]


def test_the_title_has_the_environment_and_the_time(command: Command, tmp_path: Path) -> None:
    assert f"<title>Coverage · {MADE}</title>" in covered([proof(NEW_YEAR)], made=MADE)
    command("backfill", *WEEK)
    for line in (("coverage",), ("chart", "--instruments", "BTC-PERPETUAL")):
        page = tmp_path / "page.html"
        command(*line, "--html", str(page))
        assert re.search(
            r"<title>.* · sandbox · \d{4}-\d\d-\d\d \d\d:\d\d UTC</title>", page.read_text()
        )


def test_many_series_are_grouped_by_expiry() -> None:
    page = covered(many_series())
    share = "series, 100.0 % of the requested days complete"
    assert groups(page) == [
        ("open", "Without expiry", f"1 {share}"), ("", "BTC 5JAN24", f"40 {share}"),
        ("", "BTC 26JAN24", f"40 {share}"), ("", "ETH 29MAR24", f"1 {share}"),
    ]  # fmt: skip
    assert page.count("<details") == page.count("</details>") == 4
    assert len(cells(page)) == 1
    assert len([row for row in data(page) if "run_id" in row]) == len(many_series())


def test_few_series_are_not_grouped() -> None:
    page = covered(many_series()[:20])
    assert groups(page) == []
    assert "<details" not in page
    assert len(views(page)) == 1


def test_each_row_of_a_calendar_has_the_name_by_which_it_is_filtered() -> None:
    days = [date(2022, 7, 1), date(2024, 2, 28)]
    page = covered([proof(day, name=name) for name in ("BTC", "ETH") for day in days])
    found = re.search(r'id="pictures">(.*?)</script>', page)
    assert found
    [names] = json.loads(found[1])["rows"]
    [view] = views(page)
    [labels] = [one["value"] for one in view["params"] if one["name"] == "labels"]
    assert labels == ["BTC 1m   2022", "2024", "", "ETH 1m   2022", "2024"]
    assert names == ["BTC 1m", "BTC 1m", "ETH 1m", "ETH 1m", "ETH 1m"]


def test_the_totals_say_which_share_is_complete() -> None:
    days = [NEW_YEAR + timedelta(n) for n in range(6)]
    states = [DayState.NOT_LISTED, DayState.COMPLETE, DayState.COMPLETE, DayState.GAPPED]
    proofs = [proof(day, state) for day, state in zip(days, states, strict=False)]
    unlisted = proof(NEW_YEAR, DayState.NOT_LISTED, name="NEW")
    page = covered([*proofs, proof(days[5]), unlisted])
    header, row, new = table(page)
    found = dict(zip(header, row, strict=True))
    # Two complete days and the last one, of five that were listed: one was never requested.
    assert found["complete %"] == "60.0"
    assert (found["complete"], found["never requested"]) == ("3", "1")
    assert dict(zip(header, new, strict=True))["complete %"] == ""
    assert not {"open", "not proved", "missing", "revised"} & set(header)  # nothing to count
