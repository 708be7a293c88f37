"""External text is shown short, on one line and without secrets, in any spelling."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deribit_pipeline.masking import masked
from deribit_pipeline.outside_text import MOST_SHOWN, shown
from deribit_pipeline_tests.helpers.secrets_search import Search

SECRETS = (
    "s3cret-half-of-the-key",
    "p%q/r+s=t&u",
    "it's \"quoted\\",
    "a b<c>d'e\"f",
    "schlüssel-ß€😀",
)

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "quote": lambda s: quote(s),
    "quote_all": lambda s: quote(s, safe=""),
    "quote_lower": lambda s: quote(s, safe="").replace("%2F", "%2f").replace("%3D", "%3d"),
    "quote_every_octet": lambda s: "".join(f"%{octet:02X}" for octet in s.encode()),
    "quote_twice": lambda s: quote(quote(s, safe=""), safe=""),
    "quote_plus": lambda s: quote_plus(s),
    "form": lambda s: urlencode({"client_secret": s}),
    "json": lambda s: json.dumps({"client_secret": s}),
    "json_utf8": lambda s: json.dumps({"client_secret": s}, ensure_ascii=False),
    "json_slashes": lambda s: json.dumps(s).replace("/", "\\/"),
    "json_in_json": lambda s: json.dumps(json.dumps(s)),
    "repr": repr,
    "repr_of_dict": lambda s: repr({"a": s, "b": "'\""}),
    "repr_of_repr": lambda s: repr(repr(s)),
    "bytes": lambda s: repr(s.encode()),
    "ascii": ascii,
    "hex": lambda s: s.encode().hex(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64_url": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "basic": lambda s: base64.b64encode(f"client:{s}".encode()).decode(),
    "basic_shifted": lambda s: base64.b64encode(f"clients:{s}:more".encode()).decode(),
    "html": lambda s: f"<p>{html.escape(s)}</p>",
    "html_numbers": lambda s: "".join(f"&#{ord(char)};" for char in s),
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_in_outside_text_is_masked_in_every_spelling(secret: str, spelling: str) -> None:
    text = SPELLINGS[spelling](secret)
    output = masked(f"before {text} after", [secret])
    assert "…" in output
    assert not Search({secret}).is_in(output)
    assert output.startswith("before ")
    assert output.endswith(" after")
    # Nothing is left of it but what surrounds it: brackets, quotes, names.
    assert len(output) <= len("before … after") + 40


def test_the_longer_of_two_secrets_that_begin_alike_is_masked_whole() -> None:
    assert masked("token-1-and-more", ["token-1", "token-1-and-more"]) == "…"


def test_text_without_the_secret_stays_and_an_empty_secret_is_none() -> None:
    assert masked("HTTP 502: Bad Gateway", ["s3cret", ""]) == "HTTP 502: Bad Gateway"


def test_a_text_of_nothing_but_escapes_takes_no_time_to_mask() -> None:
    for text in ("\\" * 100_000, "%25" * 50_000, "&#0" * 50_000):
        assert masked(text, SECRETS) == text


@given(st.text(max_size=2_000))
def test_any_text_is_shown_on_one_short_line(text: str) -> None:
    output = shown(text)
    assert len(output) <= MOST_SHOWN
    assert output.isprintable()
    output.encode()


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    assert shown("\x1b[31mred\x07\x9b2J\u202egnp.exe\u2028next\r\nline") == (
        "?[31mred??2J?gnp.exe next  line"
    )


def test_a_long_text_says_that_it_was_cut() -> None:
    assert shown("x" * 10_000_000) == "x" * (MOST_SHOWN - 1) + "…"
    assert shown("x" * 20, most=10) == "xxxxxxxxx…"
