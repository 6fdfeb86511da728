"""One file that shows a scene wherever it is opened, with no server and no network."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_write
from firstlight.progress import Progress, Silent
from firstlight.view.opening import open_stage
from firstlight.view.packing import Packed, pack
from firstlight.view.page import as_json, data_element, document
from firstlight.view.stage import Stage

SH_BITS = 5  # of the harmonics: a third less than with 8, and no difference that one sees


@dataclass(frozen=True)
class Shared:
    """What was written."""

    path: Path
    gaussians: int
    bytes: int


def share(
    *scenes: str | Path,
    out: str | Path,
    sh_bits: int = SH_BITS,
    cameras: bool = True,
    progress: Progress | None = None,
) -> Shared:
    """Write one page that shows ``scenes`` (files or run folders), side by side where there are several.

    The page opens from ``file://`` in any browser with WebGL2 and makes no request. It holds the scenes, and
    with ``cameras`` where the photos were taken and what they are called; no photo, no path of this computer.
    InputError when a scene cannot be read, or ``out`` not be written or called something else than a page.
    """
    out = Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: expected a name that ends with .html.")
    stage = open_stage(*scenes)
    if not cameras:
        stage = _without_cameras(stage)
    packed = [
        pack(exhibit.gaussians, stage.frame, sh_bits) for exhibit in stage.exhibits if exhibit.gaussians
    ]
    with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
        total = sum(scene.chunks for scene in packed)
        with (progress or Silent()).stage("packing", total) as work:
            for piece in document(stage.state()["title"], _elements(stage, packed)):
                file.write(piece)
                work.advance(piece.startswith('<script type="text/plain" id="chunk'))
    return Shared(out, sum(len(scene) for scene in packed), out.stat().st_size)


def _without_cameras(stage: Stage) -> Stage:
    """The same view to begin with, but nothing of the capture."""
    bare = Stage(stage.exhibits, backdrop=stage.backdrop)
    bare.frame = stage.frame
    return bare


def _elements(stage: Stage, packed: list[Packed]) -> Iterator[str]:
    state = stage.state() | {"points": False, "photos": False, "live": False}
    for about, scene in zip(state["scenes"], packed, strict=True):
        about["header"] = scene.header
    yield data_element("state", as_json(state))
    for index in range(max(scene.chunks for scene in packed)):
        for i, scene in enumerate(packed):
            if index < scene.chunks:
                yield data_element(f"chunk-{i}-{index}", base64.b64encode(scene.chunk(index, 9)).decode())
