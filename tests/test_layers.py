"""Rooms import only from the layers below their own, as ARCHITECTURE.md's table says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "firstlight"

# Lazily, inside functions, so that a scene can be saved in one obvious line.
LOOKS_UPWARDS = {("scene/gaussians.py", "files")}


def layers() -> dict[str, int]:
    """Room → layer, from the table."""
    rows = re.findall(r"^\| *(\d+) *\| *((?:`\w+` *)+)\|", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    return {room: int(layer) for layer, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST, path: Path) -> set[str]:
    """Rooms that a module or a part of one imports from."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide what a module depends on"
            names = [node.module or ""]
            if node.module == "firstlight":  # from firstlight import scene
                names = [f"firstlight.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("firstlight.")}
    return found


def lazily_imported_rooms(tree: ast.Module, path: Path) -> set[str]:
    """Rooms that are imported inside functions and nowhere else."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    outside = [node for node in imports if id(node) not in inside]
    return imported_rooms(tree, path) - imported_rooms(ast.Module(list(outside), []), path)


def violations(path: Path, source: str, table: dict[str, int]) -> list[str]:
    """What a module imports and must not."""
    tree, own = ast.parse(source), room_of(path)
    name = path.relative_to(PACKAGE).as_posix()
    lazily = lazily_imported_rooms(tree, path)
    bad = []
    for room in sorted(imported_rooms(tree, path) - {own}):
        if (name, room) in LOOKS_UPWARDS and room in lazily:
            continue
        if room not in table:
            bad.append(f"{name} imports {room}, which the table of layers does not know")
        elif table[room] >= table[own]:
            bad.append(f"{name} (layer {table[own]}) imports {room} (layer {table[room]})")
    return bad


def test_the_table_names_every_room() -> None:
    rooms = {room_of(path) for path in modules()} - {"__init__", "__main__"}
    assert rooms == set(layers())


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_downwards(path: Path) -> None:
    if room_of(path) not in ("__init__", "__main__"):  # the front door and the command may open any room
        assert violations(path, path.read_text(), layers()) == []


@pytest.mark.parametrize(
    ("name", "source", "bad"),
    [
        ("scene/cameras.py", "from firstlight.render import rasterization", 1),
        ("scene/cameras.py", "def f():\n    import firstlight.fitting.loop", 1),
        ("starts/new.py", "from firstlight.density import Mcmc", 1),
        ("starts/new.py", "from firstlight import pipeline, errors", 1),
        ("starts/new.py", "from firstlight.nowhere import something", 1),
        (
            "starts/new.py",
            "from firstlight.starts._sizes import sizes\nimport firstlight.scene",
            0,
        ),
        ("scene/gaussians.py", "def f():\n    from firstlight.files import save_gaussians", 0),
        ("scene/gaussians.py", "from firstlight.files import save_gaussians", 1),
        ("scene/sh.py", "def f():\n    from firstlight.files import save_gaussians", 1),
    ],
)
def test_a_wrong_import_would_be_found(name: str, source: str, bad: int) -> None:
    assert len(violations(PACKAGE / name, source, layers())) == bad
