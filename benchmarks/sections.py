"""The document with all figures: each benchmark replaces its own section only."""

import re
from collections.abc import Sequence
from pathlib import Path

_HEADING = "# Benchmarks\n"


def put(document: Path, title: str, target: str, lines: Sequence[str]) -> None:
    """Write the section for a `make` target, replacing the one with this title."""
    text = document.read_text() if document.exists() else _HEADING
    sections = re.split(r"^(?=## )", text, flags=re.M)
    section = f"## {title}\n\nWritten by `make {target}`.\n\n" + "\n".join(lines) + "\n"
    places = [n for n, found in enumerate(sections) if found.startswith(f"## {title}\n")]
    if places:
        sections[places[0]] = section
    else:
        sections.append(section)
    document.write_text("\n\n".join(found.strip() for found in sections) + "\n")
