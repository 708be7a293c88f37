"""The patches in docs/upstream fit the versions that are installed."""

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import dagster

UPSTREAM = Path(__file__).parents[2] / "docs" / "upstream"
PATCH = UPSTREAM / "dagster-nonexistent-partitions.patch"


def test_the_patch_of_dagster_fits_the_installed_version(tmp_path: Path) -> None:
    assert f"for dagster {version('dagster')}." in (UPSTREAM / "README.md").read_text()
    source = Path(dagster.__file__).parents[1]
    listed = subprocess.run(
        ["git", "apply", "--numstat", "-p3", str(PATCH)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    changed = [line.split("\t")[-1] for line in listed.stdout.splitlines()]
    ours = [name for name in changed if name.startswith("dagster/")]
    assert len(ours) == len(changed) - 1 == 4  # the last one is its test
    for name in ours:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, tmp_path / name)
    subprocess.run(["git", "apply", "-p3", str(PATCH)], cwd=tmp_path, check=True)
    for name in changed:
        assert "get_nonexistent_subset" in (tmp_path / name).read_text()
