"""Nothing already made is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_folder, atomic_write


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


def test_a_link_stays_one_and_a_long_name_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("old")
    link, long = tmp_path / "link.txt", tmp_path / ("a" * 250 + ".txt")
    link.symlink_to("there.txt")
    for path in (link, long):
        with atomic_write(path) as temporary:
            temporary.write_text("new")
    assert link.is_symlink() and (tmp_path / "there.txt").read_text() == long.read_text() == "new"


def test_what_is_no_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("a.mp4", "pipe"):
        with pytest.raises(InputError, match="no file"), atomic_write(tmp_path / name):
            raise AssertionError("the block ran")
    assert (tmp_path / "a.mp4").is_dir() and (tmp_path / "pipe").is_fifo()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "frames") as temporary:
        (temporary / "0.png").touch()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    (tmp_path / "frames").mkdir()
    with atomic_folder(tmp_path / "frames") as temporary:
        (temporary / "0.png").touch()
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["0.png"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="Choose another folder"), atomic_write(tmp_path / "a.txt"):
        pass
