"""Nothing already made is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firstlight.errors import InputError
from firstlight.files import atomic_write


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    for text in ("old", "new"):
        with atomic_write(path) as temporary:
            assert temporary.suffix == ".txt"
            temporary.write_text(text)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_any_error_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def write_half(error: BaseException) -> None:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("half of the n")
            raise error

    for error in (RuntimeError("stop"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write_half(error)
    with pytest.raises(InputError, match="No space left"):
        write_half(OSError(28, "No space left on device"))
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_result_is_as_readable_as_any_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="Choose another folder"), atomic_write(tmp_path / "a.txt"):
        pass
