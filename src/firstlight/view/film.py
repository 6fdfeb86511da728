"""Scenes as pictures, films and folders of frames, by the rasteriser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import torch
from av.video.reformatter import ColorRange, Colorspace

from firstlight.errors import InputError
from firstlight.files.atomic import atomic_folder, atomic_write
from firstlight.progress import Progress, Silent
from firstlight.scene import Cameras, Gaussians
from firstlight.view.links import look_from, read_view
from firstlight.view.opening import open_stage
from firstlight.view.paths import Flight, read_flight
from firstlight.view.pictures import LARGEST, Pixels, as_png, take_picture

VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".mkv"})
_QUALITY = "18"  # x264's scale: no difference that one sees
_BT709 = 1  # what players take for granted in HD; without it colours shift
_COLOURS = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0), "grey": (0.5, 0.5, 0.5)}


def film(
    scene: str | Path,
    out: str | Path,
    *,
    path: str | Path | None = None,
    view: str | None = None,
    size: tuple[int, int] = (1280, 720),
    fps: int = 30,
    seconds: float = 8.0,
    background: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Render ``scene`` (a file or a run folder) along a flight to ``out``: a video, or a folder of PNGs.

    The flight goes once around what the scene shows, or through the cameras of ``path`` (see
    ``paths.read_flight``). With ``view``, text from the page's 'Copy view', it is one picture, a .png.
    ``size`` is width and height; videos need even ones. ``background``: black, white, grey or #rrggbb; by
    default that of the run's photos, mostly black. InputError for what cannot be read, written or done.
    """
    out = Path(out)
    _check(out, view, size, fps, seconds)
    stage = open_stage(scene)
    gaussians = stage.exhibits[0].gaussians
    assert gaussians is not None
    colour = torch.tensor(stage.background if background is None else read_colour(background))
    if view is not None:
        picture = take_picture(gaussians, look_from(read_view(view), *size), colour, stage.near)
        with atomic_write(out) as temporary:
            temporary.write_bytes(as_png(picture))
        return out
    flight = Flight.orbit(stage.frame) if path is None else read_flight(Path(path))
    count = max(1, round(seconds * fps))
    cameras = flight.cameras(count, *size)
    with (progress or Silent()).stage("rendering", count) as work:
        frames = _frames(gaussians, cameras, colour, stage.near, work)
        if out.suffix.lower() in VIDEO_ENDINGS:
            write_video(frames, out, fps)
        else:
            write_pictures(frames, out)
    return out


def read_colour(text: str) -> tuple[float, float, float]:
    """black, white, grey or #rrggbb → [0, 1]³; InputError for anything else."""
    if text in _COLOURS:
        return _COLOURS[text]
    if re.fullmatch("#[0-9a-fA-F]{6}", text):
        red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return red, green, blue
    raise InputError(f"{text!r}: not a colour. Expected {', '.join(_COLOURS)} or #rrggbb.")


def write_video(frames: Iterable[Pixels], path: Path, fps: int) -> None:
    """H.264 at ``path``; what stood there stays until the film is whole. Frames [H, W, 3] of even sizes."""
    options = {} if path.suffix.lower() == ".mkv" else {"movflags": "faststart"}  # plays while it loads
    with atomic_write(path) as temporary, av.open(str(temporary), "w", options=options) as container:
        stream: Any = None
        for pixels in frames:
            if stream is None:
                stream = _stream(container, pixels.shape[1], pixels.shape[0], fps)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode())


def write_pictures(frames: Iterable[Pixels], folder: Path) -> None:
    """00000.png onwards, once all are there; InputError when ``folder`` has something in it already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already and not an empty folder. Choose another --out.")
    with atomic_folder(folder) as temporary:
        for number, pixels in enumerate(frames):
            (temporary / f"{number:05d}.png").write_bytes(as_png(pixels))


def _frames(
    gaussians: Gaussians, cameras: Cameras, background: torch.Tensor, near: float, work: Any
) -> Iterator[Pixels]:
    for index in range(len(cameras)):
        yield take_picture(gaussians, cameras.select([index]), background, near)
        work.advance()


def _stream(container: Any, width: int, height: int, fps: int) -> Any:
    stream = container.add_stream("libx264", rate=fps, options={"crf": _QUALITY, "preset": "medium"})
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    coder = stream.codec_context
    coder.colorspace = coder.color_primaries = coder.color_trc = _BT709
    coder.color_range = ColorRange.MPEG
    return stream


def _check(out: Path, view: str | None, size: tuple[int, int], fps: int, seconds: float) -> None:
    """Before anything is read: an hour of rendering must not end in a wrong ending."""
    ending, (width, height) = out.suffix.lower(), size
    endings = ", ".join(sorted(VIDEO_ENDINGS))
    if view is not None:
        if ending != ".png":
            raise InputError(f"{out}: one view makes one picture. Give --out a name that ends in .png.")
    elif ending and ending not in VIDEO_ENDINGS:
        raise InputError(f"{out}: expected {endings}, or a name without an ending for a folder of PNGs.")
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise InputError(f"{width}x{height}: expected 1 to {LARGEST} pixels each way.")
    if ending in VIDEO_ENDINGS and (width % 2 or height % 2):
        raise InputError(f"{width}x{height}: videos need an even width and height.")
    if not 1 <= fps <= 240 or not 0 < seconds <= 3600:
        raise InputError(f"{fps} frames a second for {seconds} s: expected 1 to 240, and up to an hour.")
