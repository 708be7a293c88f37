"""The console script `deribit-pipeline`: one command line, and what becomes of its errors.

Data goes to stdout, messages to stderr. Exit codes: 0 everything that can be proved by now is
proved, days that are not over yet with every closed row stored included; 1 at least one day could
not be proved; 2 the command line or a setting was wrong; 130 and 143 a signal ended it.
"""

import contextlib
import errno
import gc
import os
import sys
from typing import TextIO

import typer
from typer.exceptions import TyperException

from deribit_pipeline.cli.app import app
from deribit_pipeline.cli.interrupts import Interrupted, interruptible
from deribit_pipeline.cli.terminal import print_what_can_be
from deribit_pipeline.errors import (
    DeribitPipelineError,
    InputError,
    UnknownInstrument,
    WarehouseUnusable,
    WrongCredentials,
    WrongEnvironment,
)
from deribit_pipeline.masking import masked

PROVED, NOT_PROVED, WRONG_INPUT = 0, 1, 2

# What the command line or a setting can mend.
_WRONG = (InputError, WarehouseUnusable, UnknownInstrument, WrongCredentials, WrongEnvironment)

# Of the disk that stdout or stderr goes to.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command line and exit."""
    print_what_can_be()
    code = exit_code(sys.argv[1:])
    gc.freeze()  # to look for garbage among all that Dagster loads takes a second, and ends anyway
    sys.exit(code)


def exit_code(arguments: list[str]) -> int:
    """Run one command line; every error becomes one sentence and a code."""
    try:
        with interruptible():
            arguments = arguments or ["--help"]
            code = app(arguments, prog_name="deribit-pipeline", standalone_mode=False) or PROVED
            sys.stdout.flush()  # what cannot be written fails here, not at the exit
            return code
    except _WRONG as error:
        option = getattr(error, "about", "")
        return _ended(f"--{option} {error}" if option else error, WRONG_INPUT)
    except DeribitPipelineError as error:
        return _ended(error, NOT_PROVED)
    except TyperException as error:
        sentence = error.format_message().rstrip(".")
        end = "" if sentence.endswith("?") else "."
        return _ended(f"{sentence}{end} See deribit-pipeline --help.", WRONG_INPUT)
    except Interrupted as interruption:
        kept = "what was proved is kept, and the same command goes on from there"
        return _ended(f"{interruption}: {kept}.", interruption.exit_code)
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        _give_up(sys.stdout)
        return _ended(f"The output cannot be written ({error.strerror}).", NOT_PROVED)


def _give_up(stream: TextIO) -> None:
    """Write nothing more to it: what waits to be written would fail again at the exit."""
    with contextlib.suppress(OSError, ValueError):  # it may have no file, or be closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _ended(sentence: object, code: int) -> int:
    try:
        typer.echo(f"Error: {masked(str(sentence))}", err=True)
        sys.stderr.flush()
    except OSError:  # a full disk of the messages; the code says it all the same
        _give_up(sys.stderr)
    return code
