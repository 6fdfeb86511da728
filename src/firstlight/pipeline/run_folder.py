"""The run folder, which explains itself: ``run.json`` beside what the run made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write
from firstlight.geometry import GEOMETRY_FILE
from firstlight.poses import PLACED_FILE
from firstlight.scene import Capture, Gaussians

RUN_FILE = "run.json"


class Run:
    """A run, finished or stopped on the way."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder = folder
        self.about = about  # what run.json says

    @staticmethod
    def open(folder: str | Path) -> Run:
        """Read a run folder. InputError when it is none."""
        folder = Path(folder)
        path = folder / RUN_FILE
        try:
            about = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise InputError(
                f"{folder}: is no run folder (it has no {RUN_FILE}). Give one that 'firstlight fit' wrote."
            ) from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}). Run 'firstlight fit' again.") from error
        if not isinstance(about, dict) or not isinstance(about.get("options"), dict):
            raise InputError(f"{path}: was not written by firstlight. Run 'firstlight fit' again.")
        return Run(folder, about)

    @property
    def complete(self) -> bool:
        return bool(self.about.get("status") == "complete")

    @property
    def scene(self) -> Gaussians:
        """The Gaussians of ``scene.ply``, read anew each time."""
        return Gaussians.load(self.folder / "scene.ply")

    @property
    def summary(self) -> dict[str, Any]:
        """psnr, ssim, flip, lpips, seconds, steps, gaussians, peak_memory_mb."""
        return dict(self.about.get("summary", {}))

    def photos(self, given: str | Path | Capture | None) -> str | Path | Capture:
        """Those ``given``, else where they were. InputError where nobody knows."""
        known = given or self.about.get("photos")
        if known is None:
            raise InputError(
                f"{self.folder}: does not know where its photos are. Give them: --photos, or photos=."
            )
        return known if isinstance(known, Path | Capture) else str(known)

    def write(self, **news: Any) -> None:
        """Add to ``run.json``."""
        self.about.update(news)
        with atomic_write(self.folder / RUN_FILE) as temporary:
            temporary.write_text(json.dumps(self.about, indent=1, allow_nan=True, default=str) + "\n")

    def abandon(self) -> None:
        """Take back a run that was refused before its first checkpoint: its folder can be used again."""
        if any(self.folder.glob("checkpoints/*.safetensors")):
            return
        for name in (RUN_FILE, "poses.json", PLACED_FILE, GEOMETRY_FILE, "metrics.jsonl"):
            (self.folder / name).unlink(missing_ok=True)
        checkpoints = self.folder / "checkpoints"
        if checkpoints.is_dir() and not any(checkpoints.iterdir()):
            checkpoints.rmdir()


def new_folder(base: Path) -> Path:
    """``base``, or ``base-2``, ``base-3`` … where there is something already."""
    number, folder = 1, base
    while folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def claim_folder(folder: Path) -> None:
    """Make sure that a new run can be written to ``folder`` without touching anything that is there.

    InputError when it holds a run or other files, or cannot be written to.
    """
    if (folder / RUN_FILE).exists():
        raise InputError(
            f"{folder}: holds a run already. Add --resume to go on with it, or choose another --out."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty. Choose a new folder for --out.")
    with atomic_write(folder / ".firstlight"):
        pass
    (folder / ".firstlight").unlink()
