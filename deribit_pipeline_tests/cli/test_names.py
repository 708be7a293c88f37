"""Names from outside: refused on the command line if invalid, and in responses data, never SQL
or a path."""

import ast
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import strategies as st

from deribit_pipeline.datasets.candles import CANDLES, reads
from deribit_pipeline.datasets.registry import Selection
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.proofs import FetchedDay, Provenance
from deribit_pipeline.domain.windows import TimeWindow, day_window, moment64
from deribit_pipeline.engine.day_writes import write_days
from deribit_pipeline.engine.proof_hashes import read_facts
from deribit_pipeline.engine.proof_reads import proofs_of
from deribit_pipeline.engine.proving import prove
from deribit_pipeline.engine.row_reads import days_without_proof
from deribit_pipeline.errors import InputError
from deribit_pipeline.exchange import responses
from deribit_pipeline.selection import choice, instrument_name
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.mutations import examples, hold

PACKAGE = Path(__file__).parents[2] / "deribit_pipeline"
HOSTILE = (
    "'; drop table candles; --", "../../x", "A|B", "A...B", "/etc/passwd", "A B", "A%00", "A?b=c",
    "A#b", "A\n", "-x", "--help", "É", "A" * 65, "A/B", "A\\B", "$instrument_name", "{VALUES}",
)  # fmt: skip

texts = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="AZaz09-_|./\\'\"; \n\x00", max_size=70),
    st.sampled_from(HOSTILE),
    st.builds("{},{}".format, st.just("BTC-PERPETUAL"), st.sampled_from(HOSTILE)),
)


@examples(quick=150, tortured=2_000)
def test_any_text_is_names_of_safe_letters_or_refused(count: int) -> None:
    def law(text: str) -> None:
        try:
            chosen = choice(text, "--instruments")
        except InputError:
            return
        if chosen.selectors:  # such as the word PERPETUAL
            return
        names = chosen.names
        safe = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        assert names
        for name in names:
            assert set(name) <= safe
            assert len(name) <= 64
            assert name[0] not in "-_"
        parts = [part.strip() for part in text.split(",") if part.strip()]
        assert list(names) == list(dict.fromkeys(map(instrument_name, parts)))

    hold(law, count, texts)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_wherever_it_is_set(name: str) -> None:
    if name != name.strip():
        name += "x"
    with pytest.raises(InputError, match="cannot be an instrument"):
        choice(name, "--instruments")
    with pytest.raises(InputError, match="cannot be an instrument"):
        Settings.from_env({"DERIBIT_INSTRUMENTS": f"BTC-PERPETUAL,{name}"})


@pytest.mark.parametrize("half", ["DERIBIT_CLIENT_ID", "DERIBIT_CLIENT_SECRET"])
@pytest.mark.parametrize("odd", ["s3cret\n", "s3cret\udce9", "s3crét", "s3 cret"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(half: str, odd: str) -> None:
    key = {"DERIBIT_CLIENT_ID": "id", "DERIBIT_CLIENT_SECRET": "right"} | {half: odd}
    with pytest.raises(InputError, match="must be letters, digits and signs") as caught:
        Settings.from_env(key)
    assert "s3" not in str(caught.value)


# A file for each costs a quarter of a second: those that mean something to SQL or to a folder.
@pytest.mark.parametrize("name", [*HOSTILE[:3], "$instrument_name"])
def test_a_name_that_the_exchange_tells_is_data_to_the_warehouse(name: str, tmp_path: Path) -> None:
    listed = responses.instrument(recorded("instrument") | {"instrument_name": name})
    assert listed.instrument_name == name
    hours = moment64(datetime(2024, 1, 1, tzinfo=UTC)) + np.arange(24) * np.timedelta64(1, "h")
    day, series = date(2024, 1, 1), (name, Resolution.HOUR_1)
    dataset = CANDLES[Resolution.HOUR_1]
    returned = FetchedDay(
        name, day, Candles(hours[1:], np.ones((23, 6))).columns,
        datetime(2024, 2, 1, tzinfo=UTC), hours,
    )  # fmt: skip
    other = prove(dataset, replace(returned, series="BTC-PERPETUAL"))
    warehouse = Warehouse(tmp_path / "warehouse.duckdb", Environment.SANDBOX)
    source = Provenance(Environment.SANDBOX, "sandbox", "run")
    first = prove(dataset, returned)
    changed = replace(returned, rows=Candles(hours[1:], np.full((23, 6), 2.0)).columns)
    second = prove(dataset, changed, first.rows, first.proof)
    with warehouse.writing() as connection:
        write_days(connection, dataset, [other], source)
        write_days(connection, dataset, [first], source)
    with warehouse.writing() as connection:
        write_days(connection, dataset, [second], source)
    window = TimeWindow(day_window(day).start, day_window(day).end)
    with warehouse.reading() as connection:
        assert proofs_of(connection, dataset, [name]) == [second.proof]
        assert proofs_of(connection, dataset, ["BTC-PERPETUAL"]) == [other.proof]
        assert reads.candles(connection, *series, window).values[:, 0].tolist() == [2.0] * 23
        assert read_facts(connection, dataset, [name])[name, day].named_gaps == 1
        assert len(proofs_of(connection, dataset)) == 2
        assert days_without_proof(connection, dataset, Selection()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["warehouse.duckdb"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_within_its_parameter_of_a_url(name: str) -> None:
    root = httpx.AsyncClient(base_url="http://exchange/api/v2")
    request = root.build_request("GET", "public/get_instrument", params={"instrument_name": name})
    assert request.url.path == "/api/v2/public/get_instrument"
    assert dict(request.url.params) == {"instrument_name": name}
    assert not request.url.fragment


def pasted(source: str) -> list[str]:
    """Values interpolated into SQL, other than constants of a module."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        text = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
        if not re.search(r"\b(select|insert into|update|delete from|create|attach|copy)\b", text):
            continue
        pieces = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        found += [ast.unparse(piece) for piece in pieces if not is_own_message(piece)]
    return found


def is_own_message(piece: ast.expr) -> bool:
    """A constant, what is quoted as SQL wants it, what a table or a dataset of ours is called, or
    what is made of these alone."""
    match piece:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name.isupper()
        case ast.Attribute(value=ast.Name(id=name)):
            return name.isupper() or name in ("table", "dataset")
        case ast.Subscript(value=value, slice=ast.Constant()):
            return is_own_message(value)
        case ast.Call(func=ast.Name(id="quoted")):
            return True
        case ast.Call(func=ast.Name(), args=arguments):
            return all(map(is_own_message, arguments))
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[argument]):
            return is_own_message(argument)
    return False


# These write DDL, copy whole tables, and read and write any of them: by the names that the tables
# say, column by column. The reader nests such queries. And what is attached is attached under a
# name of ours.
OF_THE_SCHEMA = {
    "defs/retention.py", "domain/tables.py", "engine/copies.py", "engine/day_writes.py",
    "engine/proof_hashes.py", "engine/proof_reads.py", "engine/row_reads.py", "engine/rules.py",
    "engine/selected_series.py", "engine/series_proofs.py", "engine/superseded.py",
    "engine/unproved.py", "export/part.py", "lake/attached.py", "reader/candle_frames.py",
    "reader/day_frames.py", "reader/frames.py", "reader/funding_frames.py",
    "reader/option_frames.py", "reader/recorded_part.py", "reader/recorded_rows.py",
    "reader/settlement_frames.py", "warehouse/attached_file.py", "warehouse/connections.py",
    "warehouse/file_copy.py",
}  # fmt: skip
WITHOUT_SQL = ("exchange", "sandbox")
PATHS = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in WITHOUT_SQL
]


def test_nothing_but_constants_is_pasted_into_sql() -> None:
    found = {path.relative_to(PACKAGE).as_posix() for path in PATHS if pasted(path.read_text())}
    assert found == OF_THE_SCHEMA


def test_a_name_that_is_pasted_into_sql_is_seen() -> None:
    wrong = "connection.execute(f\"select * from candles where {SERIES} and n = '{name}'\")"
    assert pasted(wrong) == ["name"]


def raised_in_groups(text: str) -> list[int]:
    """The lines that raise an exception in an `except*`."""
    clauses = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.TryStar)]
    handlers = [handler for clause in clauses for handler in clause.handlers]
    return [
        node.lineno
        for handler in handlers
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise)
    ]


def test_nothing_is_raised_where_a_group_of_errors_is_caught() -> None:
    """Python before 3.11.4, as Debian 12 has it, puts what is raised there into a group."""
    found = {path: raised_in_groups(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert not any(found.values()), found
    assert raised_in_groups("try:\n    f()\nexcept* OSError as e:\n    raise g(e)\n") == [4]
