"""`docs`: the documents of this version, in the terminal."""

from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.errors import InputError

_SETTINGS = ".env.example"


@command("deribit-pipeline docs tutorial")
def docs(
    page: Annotated[
        str | None, typer.Argument(metavar="[PAGE]", help="The page; without it, all are listed.")
    ] = None,
) -> int:
    """Print a page of the documents of this version: README, tutorial, settings and the others."""
    pages = _pages()
    if page is None:
        for name, file in pages.items():
            _print(f"{name:<18} {_title(file)}")
        stderr().print("deribit-pipeline docs PAGE prints one of them.")
        return 0
    name = page.removeprefix("docs/").removesuffix(".md").lower()
    if name not in pages:
        raise InputError(f"There is no page {page!r}: the pages are {', '.join(pages)}.")
    text = pages[name].read_text(encoding="utf-8")
    if stdout().is_terminal and name != "settings":
        from rich.markdown import Markdown

        stdout().print(Markdown(text))
    else:
        _print(text.rstrip())
    return 0


def _print(text: str) -> None:
    """Print plain text as it is, whatever the width of the terminal."""
    stdout().print(text, markup=False, highlight=False, soft_wrap=True)


def _pages() -> dict[str, Path]:
    """The pages by name."""
    root = _root()
    pages = {"readme": root / "README.md", "settings": root / _SETTINGS}
    pages |= {file.stem: file for file in sorted((root / "docs").glob("*.md"))}
    return pages | {"changelog": root / "CHANGELOG.md"}


def _root() -> Path:
    """The folder of the documents: the repository, or what the wheel installed."""
    repository = Path(__file__).parents[2]
    if (repository / "pyproject.toml").exists():
        return repository
    for file in metadata.files("deribit-pipeline") or ():
        if file.name == _SETTINGS:
            return Path(str(file.locate())).resolve().parent
    raise InputError("The documents are not installed: install the wheel of deribit-pipeline.")


def _title(file: Path) -> str:
    if file.name == _SETTINGS:
        return "Every setting, with its default"
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ")
