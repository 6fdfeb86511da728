"""Folders are for one process at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firstlight.errors import InputError
from firstlight.files import alone_in

TRY = """
import sys
from pathlib import Path
from firstlight.files import alone_in
with alone_in(Path(sys.argv[1])):
    print("in")
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders have no locks there")


def _try(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", TRY, folder], capture_output=True, text=True, check=False)


def test_a_folder_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    with alone_in(tmp_path):  # nothing is in it yet
        second = _try(tmp_path)
        assert tmp_path.is_dir(), "whoever is refused must not take it away"
        (tmp_path / "kept").touch()
        assert second.returncode and "InputError" in second.stderr and "at work" in second.stderr
    assert _try(tmp_path).stdout == "in\n"


def test_a_folder_that_is_left_empty_goes_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path / "a"):
        _ = 1 / 0
    assert not (tmp_path / "a").exists()
    with alone_in(tmp_path / "b"):
        (tmp_path / "b" / "made").touch()
    assert (tmp_path / "b" / "made").exists()


def test_an_empty_folder_that_was_there_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another's, and may be a mount point or the working directory."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no photo"), alone_in(Path()):
        raise InputError("no photo in it")
    assert tmp_path.is_dir()


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"), alone_in(tmp_path / "file" / "below"):
        pass
