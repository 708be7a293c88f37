"""Code and documents refer to an assumption by its id, and state none themselves."""

import re
from pathlib import Path

from deribit_pipeline.assumptions.every_assumption import ASSUMPTIONS

ROOT = Path(__file__).parents[2]

REFERENCE = re.compile(r"assumption:([a-z0-9-]+)")
SAID = re.compile(r"nobody (has )?(shown|showed|verified|published)|unproven", re.IGNORECASE)


def references() -> dict[str, set[str]]:
    """The ids that code and documents refer to, and the files that do."""
    files = [*(ROOT / "deribit_pipeline").rglob("*.py"), ROOT / "README.md"]
    files += [path for path in (ROOT / "docs").rglob("*.md") if path.name != "assumptions.md"]
    found: dict[str, set[str]] = {}
    for path in files:
        if path.parent.name != "assumptions":
            for name in REFERENCE.findall(path.read_text()):
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def test_code_and_documents_refer_to_every_assumption_and_to_no_other() -> None:
    assert set(references()) == {one.id for one in ASSUMPTIONS}


def test_nothing_else_says_that_a_fact_is_open() -> None:
    """It refers to the assumption instead, which states its evidence."""
    for path in (*(ROOT / "deribit_pipeline").rglob("*.py"), *(ROOT / "docs").rglob("*.md")):
        text = " ".join(path.read_text().split())
        assert not SAID.search(text), path
