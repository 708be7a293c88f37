"""The log file, shared by several processes: rotated, and each line complete."""

import logging
import os
import sys

from concurrent_log_handler import ConcurrentRotatingFileHandler


class LogFile(ConcurrentRotatingFileHandler):
    """The handler of the file; failures to write it must not appear in the command line's
    output."""

    def do_write(self, msg: str) -> None:
        """Append a line; first terminate a line that a full disk or a crash truncated. Raises
        OSError; no part of the line is buffered for later then."""
        data = f"{msg}{self.terminator}".encode(errors="backslashreplace")
        with open(self.baseFilename, "a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                data = data if file.read(1) == b"\n" else b"\n" + data
            while data:  # a nearly full disk accepts a part
                data = data[file.write(data) :]

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the record if its disk is full; `logging` would print a traceback."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def _console_log(self, msg: str, stack: bool = False) -> None:
        """Suppress the library's messages on stdout about rotating and locking; stdout is for
        data."""
