"""The log file as several processes write it: rotated, each line whole and readable by itself."""

import logging
import os
import sys

from concurrent_log_handler import ConcurrentRotatingFileHandler


class LogFile(ConcurrentRotatingFileHandler):
    """The handler of the file; one that cannot be written must not garble what the command line
    says."""

    def do_write(self, msg: str) -> None:
        """Append a line, and before it the end of one that a full disk or a death cut short.
        Raises OSError; nothing of the line is kept back for later then."""
        data = f"{msg}{self.terminator}".encode(errors="backslashreplace")
        with open(self.baseFilename, "a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                data = data if file.read(1) == b"\n" else b"\n" + data
            while data:  # a disk that is nearly full takes a part
                data = data[file.write(data) :]

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Leave the record out where its disk is full, as `logging` would with a traceback."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def _console_log(self, msg: str, stack: bool = False) -> None:
        """The library prints to stdout that it could not rotate or lock; that is for data."""
