"""A run folder as the report reads it: tolerant of what is missing, strict about what is wrong."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from firstlight.errors import InputError
from firstlight.poses import PLACED_FILE

Table = dict[str, Any]
Rows = TypeVar("Rows", list[Any], npt.NDArray[Any])

MAX_POINTS = 2000  # of a map
LARGEST = 1e30  # beyond it, drawing would overflow


@dataclass
class RunFolder:
    """What a run left behind."""

    path: Path
    run: Table  # run.json
    metrics: list[Table]  # metrics.jsonl
    poses: Table | None  # poses.json
    remarks: list[str] = field(default_factory=list)  # what could not be used, in words


def read_run_folder(path: Path) -> RunFolder:
    """Read everything but the pictures.

    InputError when there is no ``run.json`` or it cannot be read. Everything else may be missing or partly
    broken; what is broken is left out and said in ``remarks``.
    """
    run = _read_run(path / "run.json")
    remarks: list[str] = []
    metrics = _read_metrics(path / "metrics.jsonl", remarks)
    return RunFolder(path, run, metrics, _read_poses(path / "poses.json", remarks), remarks)


def number(value: Any) -> float | None:
    """A number, or None for anything else: NaN and infinity, and what no run can have measured."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST else None


def table(value: Any) -> Table:
    """A dictionary, or an empty one."""
    return value if isinstance(value, dict) else {}


def tables(value: Any) -> list[Table]:
    """The dictionaries of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Anything as one line of text; nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def thinned(rows: Rows) -> Rows:
    """At most ``MAX_POINTS`` of ``rows``, evenly spaced."""
    return rows[:: max(1, math.ceil(len(rows) / MAX_POINTS))]


def matrix(value: Any, size: int) -> list[list[float]] | None:
    """A ``size`` × ``size`` list of finite numbers, or None."""
    if not isinstance(value, list) or len(value) != size:
        return None
    rows = [[number(item) for item in row] if isinstance(row, list) else [] for row in value]
    kept = [[item for item in row if item is not None] for row in rows]
    return kept if all(len(row) == size for row in kept) else None


def _read_run(path: Path) -> Table:
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path.parent}: is no run folder (it has no {path.name}). "
            "Give the folder that 'firstlight fit' wrote."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}). Run 'firstlight fit' again.") from error
    if not isinstance(run, dict):
        raise InputError(f"{path}: was not written by firstlight. Run 'firstlight fit' again.")
    return run


def _read_metrics(path: Path, remarks: list[str]) -> list[Table]:
    """The lines that hold a step. A run that was killed leaves half a line at the end: that is no error."""
    lines: list[Table] = []
    skipped = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                parsed = _parse_line(line)
                if parsed is not None:
                    lines.append(parsed)
                elif line.strip():
                    skipped += 1
    except FileNotFoundError:
        remarks.append("There is no metrics.jsonl, so there are no curves.")
    except OSError as error:
        remarks.append(f"metrics.jsonl cannot be read ({error.strerror}), so there are no curves.")
    if skipped:
        lines_word = "1 line" if skipped == 1 else f"{skipped:,} lines"
        remarks.append(f"{lines_word} of metrics.jsonl could not be read and stayed out.")
    return lines


def _parse_line(line: str) -> Table | None:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) and number(parsed.get("step")) is not None else None


def _read_poses(path: Path, remarks: list[str]) -> Table | None:
    try:
        poses = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remarks.append("There is no poses.json, so there is no map of the cameras.")
        return None
    except (OSError, ValueError, RecursionError):
        remarks.append("poses.json cannot be read, so there is no map of the cameras.")
        return None
    return {"points": _read_points(path.with_name(PLACED_FILE))} | table(poses)


def _read_points(path: Path) -> list[list[float]]:
    """At most ``MAX_POINTS`` of the sparse points kept beside the poses, as x y z r g b."""
    try:
        with safe_open(path, framework="np") as file:
            xyz, rgb = file.get_tensor("points.xyz"), file.get_tensor("points.rgb")
    except (OSError, SafetensorError):
        return []  # poses given from elsewhere have none: the map shows the cameras alone
    if xyz.ndim != 2 or xyz.shape[1] != 3 or xyz.shape != rgb.shape:
        return []
    rows: list[list[float]] = np.concatenate([thinned(xyz), thinned(rgb)], 1).tolist()
    return rows
