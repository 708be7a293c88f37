"""Secrets are masked in any spelling and in any connection string."""

import base64
import html
import json
import logging
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline import masking
from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.domain.location import LAKE, Lake, ObjectStorage
from deribit_pipeline.errors import InputError
from deribit_pipeline.lake.lake_errors import without_secrets
from deribit_pipeline.logs import JsonFormatter
from deribit_pipeline.masking import masked, passwords_of
from deribit_pipeline.settings import Settings

SECRETS = ["s3cret-Word", "p@ss/w:rd?&#%", 'it\'s "quoted" \\ twice', "pässwörd-ü", "${HOME}+b c"]

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda secret: secret,
    "url": lambda secret: quote(secret, safe=""),
    "url with slashes": quote,
    "url of a form": quote_plus,
    "url in lower case": lambda secret: quote(secret, safe="").replace("%2F", "%2f"),
    "json": json.dumps,
    "json in utf-8": lambda secret: json.dumps(secret, ensure_ascii=False),
    "repr": repr,
    "repr of a message": lambda secret: repr(f"it's {secret}"),
    "bytes": lambda secret: repr(secret.encode()),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "basic": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
    "basic of another": lambda secret: base64.b64encode(f"me:{secret}\n".encode()).decode(),
    "url-safe base64": lambda secret: base64.urlsafe_b64encode(f"u:{secret}".encode()).decode(),
    "sql": lambda secret: "'" + secret.replace("'", "''") + "'",
    "html": html.escape,
    "json in json": lambda secret: json.dumps(json.dumps(secret)),
    "hex": lambda secret: secret.encode().hex(),
}


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What one test learns is no secret of the next."""
    former = set(masking._learned)
    yield
    masking._learned.clear()
    masking._learned.update(former)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_masked_in_every_spelling(secret: str, spelling: str) -> None:
    text = SPELLINGS[spelling](secret)
    found = masked(f"before {text} after", [secret])
    assert found.startswith("before ")
    assert found.endswith(" after")
    assert masking.MASK in found
    # No more than what base64 shares with its neighbours is left of it.
    left = found.removeprefix("before ").removesuffix(" after").replace(masking.MASK, "")
    assert len(left) <= 12


@given(st.text(min_size=4, max_size=30), st.sampled_from(sorted(SPELLINGS)))
def test_no_secret_is_left_in_a_message(secret: str, spelling: str) -> None:
    found = masked(f"<{SPELLINGS[spelling](secret)}>", [secret])
    assert secret not in found or secret in masking.MASK


@pytest.mark.parametrize(
    "text",
    [
        "host=db user=me password={plain} dbname=x",
        "host=db user=me PASSWORD = '{plain}'",
        "password='{escaped}' host=db",
        "postgresql://me:{url}@db/x",
        "postgres://me:{url}@db:5432/x?sslmode=require",
        "postgresql://db/x?user=me&password={url}",
        "postgresql://:{url}@db/x",
        "host=db sslpassword={plain}",
        "ducklake:postgres:host=db password={plain}",
        "host=db password='{plain}",  # which libpq does not accept
    ],
)
@pytest.mark.parametrize("secret", ["s3cret-Word", "p:ss/w@rd%", "back\\slash"])
def test_the_password_of_every_connection_string_is_found(text: str, secret: str) -> None:
    written = text.format(
        plain=secret.replace("\\", "\\\\"),
        escaped=secret.replace("\\", "\\\\"),
        url=quote(secret, safe=""),
    )
    assert secret in passwords_of(written)


def test_a_lakes_message_shows_neither_password_nor_keys() -> None:
    storage = ObjectStorage(secret="k3y/of+store", token="t0ken=of==store")
    lake = Lake("postgresql://me:p%40ss@db/x", "s3://bucket/", storage)
    for secret in ("p@ss", "p%40ss", "k3y/of+store", "t0ken=of==store"):
        for spell in SPELLINGS.values():
            output = without_secrets(lake, f"HTTP 403 of {lake.catalog} by {spell(secret)}!")
            assert secret not in output
            assert quote(secret, safe="") not in output


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory) -> str:
    """A secret of the settings that this process has loaded."""
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    secret = "s3cret/of+settings"
    monkeypatch.setenv("DERIBIT_WAREHOUSE", f"{LAKE}host=db password={secret}")
    monkeypatch.setenv("DERIBIT_WAREHOUSE_DATA", "s3://bucket/lake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{secret}-key")
    monkeypatch.setenv("DERIBIT_CLIENT_ID", "id")
    monkeypatch.setenv("DERIBIT_CLIENT_SECRET", f"{secret}-client")
    assert secret not in repr(Settings.load())
    return secret


@pytest.mark.parametrize("end", ["", "-key", "-client"])
def test_the_log_shows_no_secret_of_the_settings(loaded: str, end: str) -> None:
    secret = f"{loaded}{end}"
    try:
        raise ValueError(f"of {secret}")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.INFO, "x.py", 1, "%s", (quote_plus(secret),),
            (type(error), error, error.__traceback__),
        )  # fmt: skip
    record.where = json.dumps(secret)
    line = JsonFormatter().format(record)
    assert json.loads(line)["message"] == masking.MASK
    for spell in SPELLINGS.values():
        assert spell(secret) not in line


def test_an_error_of_the_command_line_shows_no_secret_of_the_settings(
    loaded: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InputError(f"it said {loaded!r} and {quote(loaded, safe='')}")

    monkeypatch.setattr("deribit_pipeline.cli.check.probes", fail)
    assert exit_code(["check"]) == 2
    assert capsys.readouterr().err == "Error: it said '…' and …\n"


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@host/api", "http://user:pa/s3cret@host", "user:s3cret@host",
        "http://user:a@s3cret@host/", "http://host/api?token=s3cret", "http:/u:s3cret@h",
    ],
)  # fmt: skip
def test_an_address_with_credentials_is_refused_without_them(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings.from_env({"DERIBIT_BASE_URL": url})
    assert "s3cret" not in str(caught.value)
