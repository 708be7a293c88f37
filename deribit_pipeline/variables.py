"""The variables of the settings: from the process's environment, and for absent ones from `.env` in
the folder DERIBIT_HOME, or else in the working folder.

`.env` is read literally, or not at all: an ambiguous line is an error, because the value used
instead may be mainnet's.
"""

import difflib
import io
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from deribit_pipeline.errors import SettingsError

FOLDER = "_DERIBIT_PIPELINE_FOLDER"
"""For Dagster's processes, whose commands give a `.env` of their working folder precedence over the
environment: the folder of the command that started them."""

_OURS = re.compile(r"DERIBIT_\w*|AWS_\w*|DAGSTER_HOME")
_SECRET = re.compile(r"CLIENT|KEY|TOKEN|WAREHOUSE")

# Kubernetes sets variables for the services beside each container, such as DERIBIT_PIPELINE_PORT.
_OF_KUBERNETES = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+)")


class Noted(Mapping[str, str | None]):
    """Variables, and in `read` the names that were looked up."""

    def __init__(self, variables: Mapping[str, str | None]) -> None:
        self._variables = variables
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str | None:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: object = None) -> str | None:
        """The value; None if there is none."""
        self.read.add(name)
        return self._variables.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def variables() -> dict[str, str | None]:
    """All variables. Raises SettingsError, which repeats no value."""
    environment = dict(os.environ)
    folder = Path(environment.get("DERIBIT_HOME") or "")
    if not folder.is_dir():
        raise SettingsError(f"DERIBIT_HOME {folder} is not a folder: make one, or unset it.")
    text = _text(folder / ".env")
    file = _values(text)
    if file.get("DERIBIT_HOME"):
        raise SettingsError(
            "DERIBIT_HOME names the folder that .env is in: set it in the environment instead."
        )
    environment.pop(FOLDER, None)
    # Dagster's commands have set the environment to python-dotenv's interpretation of `${name}`.
    altered = {name for name, value in file.items() if "${" in value}
    replaced = dotenv_values(stream=io.StringIO(text)) if altered else {}
    for name in altered:
        if environment.get(name) == replaced[name]:
            del environment[name]
    return {**file, **environment}


def choose_defaults_of(environment: str) -> None:
    """Set DERIBIT_ENV for this process, and every other setting to its default, except
    DERIBIT_HOME and DAGSTER_HOME."""
    for name in variables():
        if name.startswith("DERIBIT_") and name != "DERIBIT_HOME":
            os.environ[name] = ""
    os.environ["DERIBIT_ENV"] = environment


def require_known(variables: Collection[str], known: Collection[str]) -> None:
    """Raise SettingsError for a variable that resembles a setting but is not one."""
    settings = [name for name in known if name.startswith("DERIBIT_")]
    for name in sorted(variables):
        if name in known:
            continue
        spelled = re.sub(r"\W+", "_", name.upper()).strip("_")
        if not spelled.startswith("DERIBIT_"):
            if not difflib.get_close_matches(spelled, settings, 1, 0.9):
                continue
        elif "KUBERNETES_SERVICE_HOST" in variables and _OF_KUBERNETES.fullmatch(name):
            continue
        near = _nearest(spelled, settings)
        hint = f"did you mean {near}?" if near else "remove it."
        raise SettingsError(
            f"{name[:80]!a} is no setting: {hint} All settings are in .env.example."
        )


def _nearest(name: str, settings: Collection[str]) -> str | None:
    same = [known for known in settings if name.startswith(known) or known.startswith(name)]
    if same:
        return max(same, key=len)
    ends = {known.partition("_")[2]: known for known in settings}
    near = difflib.get_close_matches(name.partition("_")[2], ends, 1)
    return ends[near[0]] if near else None


def _text(file: Path) -> str:
    """The contents of the file; empty if there is none."""
    try:
        if file.is_fifo():
            raise SettingsError(f"{file} is a named pipe: make it a file.")
        data = file.read_bytes()
    except IsADirectoryError:  # a Python virtual environment may have this name
        return ""
    except FileNotFoundError as error:
        if not file.is_symlink():
            return ""
        raise SettingsError(f"{file} is a link to a file that is missing.") from error
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}).") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{file} is not UTF-8 text (line {line}): save it as UTF-8.") from None
    if "\0" in text:
        raise SettingsError(f"{file} is not UTF-8 text, but UTF-16 perhaps: save it as UTF-8.")
    return text


def _values(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        name, value = binding.key, binding.value
        if name is None and not binding.error:
            continue  # a comment or an empty line
        if name is None or value is None:
            raise SettingsError(f"{_where(binding)} is not written as NAME=value.")
        if "\n" in _written(binding) and (_OURS.fullmatch(name) or "DERIBIT_" in value):
            raise SettingsError(f"{_where(binding)} has a quote that ends on another line: {name}.")
        if _OURS.fullmatch(name):
            _require_literal(binding, name, value)
            if name in values:
                raise SettingsError(
                    f"{_where(binding)} sets {name} once more: keep one line of it."
                )
        values[name] = value
    return values


def _require_literal(binding: Binding, name: str, value: str) -> None:
    """Raise SettingsError if the value is not the text as written: python-dotenv replaces
    `${name}`, ends a value at ` #`, and interprets backslashes in quotes."""
    written = _written(binding)
    quote = written[:1] if written[:1] in ("'", '"') else ""
    is_literal = written.startswith(f"{quote}{value}{quote}")
    if not quote and value and _SECRET.search(name):
        is_literal = written == value
    if not is_literal or ("$" in value and quote != "'"):
        raise SettingsError(
            f"{_where(binding)} may not be read as it is written, for {name} holds a $, a # or a "
            "backslash: put the value in single quotes, or set it in the environment."
        )


def _written(binding: Binding) -> str:
    return binding.original.string.partition("=")[2].strip()


def _where(binding: Binding) -> str:
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    line = binding.original.line + len(re.findall(r"\r\n|\n|\r", blank))
    return f"Line {line} of .env"
