"""What several commands print or write in the end."""

from __future__ import annotations

import json
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firstlight.pipeline import Run


def conclude(run: Run, photos: str) -> int:
    """Say what came of a fit and what to do next; gives the exit status."""
    if not run.complete:
        print(f"Stopped at step {run.summary.get('steps'):,}. Nothing is lost. Go on with:")
        print(f"  {_shell_line('fit', photos, '--out', str(run.folder), '--resume')}")
        return 1
    print_summary(run.summary)
    print(f"scene   {run.folder / 'scene.ply'}")
    print(f"report  {run.folder / 'report.html'}")
    print(f"look    {_shell_line('view', str(run.folder))}")
    return 0


def _shell_line(*words: str) -> str:
    """A line for the shell that calls firstlight as it was called this time."""
    program = sys.argv[0] if Path(sys.argv[0]).name == "firstlight" else "firstlight"
    return shlex.join([program, *words])


def print_summary(summary: dict[str, object]) -> None:
    """A run's numbers in a line or two."""
    shown = [
        f"{name} {value:.3f}"
        for name, value in summary.items()
        if name in ("psnr", "ssim", "flip") and isinstance(value, float)
    ]
    size = f"{summary['gaussians']:,} Gaussians, {summary['seconds']} s"
    print(f"{', '.join(shown)} on {summary['measured_on']}; {size}")
    seen = [f"{name} {value:.3f}" for name in ("psnr", "ssim", "flip")
            if isinstance(value := summary.get(f"{name}_seen"), float)]  # fmt: skip
    share = summary.get("seen")
    if seen and isinstance(share, float):
        print(f"where a training photo looks too, {share:.0%} of the pixels: {', '.join(seen)}")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """The numbers of a command as a file, for other programs."""
    from firstlight.files import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")


def _plain(content: Any) -> Any:
    """What JSON can hold: it has no word for infinity, as the PSNR of equal pictures is."""
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
