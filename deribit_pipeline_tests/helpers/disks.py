"""Disks that tests fill or make read-only."""

import os
import subprocess
from pathlib import Path


class Disk:
    """A disk of its own at `path`, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")

    def resize(self, size: int) -> None:
        """Give it this size in bytes; it cannot be less than what it holds."""
        self._mount("-o", f"remount,size={size}")

    def leave(self, free: int) -> None:
        """Leave so many bytes free."""
        at = os.statvfs(self.path)
        self.resize((at.f_blocks - at.f_bfree) * at.f_frsize + free)

    def set_read_only(self, is_read_only: bool) -> None:
        self._mount("-o", f"remount,{'ro' if is_read_only else 'rw'}")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(self.path)], check=True, capture_output=True)
