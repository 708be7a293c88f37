"""The console script `deribit-pipeline`: runs one command line and turns errors into exit codes.

Data goes to stdout, messages to stderr. Exit codes: 0 every day that can be proved by now is
proved, and days that are not over have every closed row stored; 1 at least one day could not be
proved; 2 the command line or a setting was wrong; 130 and 143 a signal ended the command.
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

# Errors that a change of the command line or of a setting fixes.
_WRONG = (InputError, WarehouseUnusable, UnknownInstrument, WrongCredentials, WrongEnvironment)

# New objects before a garbage collection, instead of Python's 700: importing Dagster and recording
# days creates a million objects that stay, and traversing them again and again takes a second.
_OBJECTS_UNTIL_COLLECTION = 100_000

# Errors of a full disk behind stdout or stderr.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command line and exit."""
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION)
    print_what_can_be()
    code = exit_code(sys.argv[1:])
    gc.freeze()  # a garbage collection at exit would take a second with all that Dagster loads
    sys.exit(code)


def exit_code(arguments: list[str]) -> int:
    """Run one command line; an error is printed as one sentence and returned as an exit code."""
    try:
        with interruptible():
            arguments = arguments or ["--help"]
            code = app(arguments, prog_name="deribit-pipeline", standalone_mode=False) or PROVED
            sys.stdout.flush()  # fail here, and not at interpreter exit
            return code
    except _WRONG as error:
        option = getattr(error, "about", "")
        return _ended(f"--{option} {error}" if option else error, WRONG_INPUT)
    except DeribitPipelineError as error:
        return _ended(error, NOT_PROVED)
    except TyperException as error:
        sentence = error.format_message().rstrip(".")
        end = "" if sentence.endswith("?") else "."
        return _ended(f"{sentence}{end} See {_command_of(error)} --help.", WRONG_INPUT)
    except Interrupted as interruption:
        kept = "proved days are kept, and what was recorded; the same command continues from there"
        return _ended(f"{interruption}: {kept}.", interruption.exit_code)
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        _give_up(sys.stdout)
        return _ended(f"The output cannot be written ({error.strerror}).", NOT_PROVED)


def _command_of(error: TyperException) -> str:
    """The command line up to the command whose usage was wrong."""
    context = getattr(error, "ctx", None)
    return context.command_path if context else "deribit-pipeline"


def _give_up(stream: TextIO) -> None:
    """Discard the buffered output, which would fail again at interpreter exit."""
    with contextlib.suppress(OSError, ValueError):  # the stream may have no file, or be closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _ended(sentence: object, code: int) -> int:
    try:
        typer.echo(f"Error: {masked(str(sentence))}", err=True)
        sys.stderr.flush()
    except OSError:  # stderr's disk is full; the exit code still reports the error
        _give_up(sys.stderr)
    return code
