"""Disks that tests fill or make read-only."""

import os
import subprocess
from pathlib import Path


class Disk:
    """A separate disk at `path`, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")

    def resize(self, size: int) -> None:
        """Resize it to this many bytes, at least the size of its contents."""
        self._mount("-o", f"remount,size={size}")

    def leave(self, free: int) -> None:
        """Resize it so that this many bytes are free."""
        at = os.statvfs(self.path)
        self.resize((at.f_blocks - at.f_bfree) * at.f_frsize + free)

    def set_read_only(self, is_read_only: bool) -> None:
        self._mount("-o", f"remount,{'ro' if is_read_only else 'rw'}")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(self.path)], check=True, capture_output=True)
