"""A video: the sharpest frame of each of many equal intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt

from firstlight.errors import InputError
from firstlight.progress import Progress, Stage
from firstlight.scene import Capture, Photo, Picture, SetAside

VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm"})

_MAX_RATE = 5.0  # frames a second: what a hand moves in less is not worth a photo of its own
_FEW = 24  # a clip of fewer frames is a photo set already
_LOOK_WIDTH = 480  # pixels across which sharpness is judged: motion blur shows there, noise does not
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
_CONSTANT = 4  # of 255

Pixels = npt.NDArray[np.uint8]


class Span(NamedTuple):
    """What the packets of a video say: never its header, which may lie or be silent."""

    frames: int
    start: float  # seconds
    seconds: float
    pixel_aspect: float  # width over height of a pixel


@dataclass
class Best:
    """The sharpest frame of an interval so far."""

    interval: int
    number: int
    time: float
    sharpness: float
    frame: Any  # av.VideoFrame


def read_video(path: Path, max_frames: int, progress: Progress) -> Capture:
    """At most ``max_frames`` frames of the video, with times in seconds; InputError without any.

    One pass over the packets for the length, one over the frames. The chosen ones are kept as JPEGs in
    memory (quality 95, full colour), some hundred kB each: they decode in milliseconds and the same every
    time, where a seek into a phone's video costs up to a second.
    """
    if max_frames < 1:
        raise InputError(f"{max_frames} video frames asked for: expected at least 1.")
    photos: list[Photo] = []
    aside: list[SetAside] = []
    try:
        span = _span(path)
        count = interval_count(span.frames, span.seconds, max_frames)
        with progress.stage("Choosing sharp frames", span.frames) as stage:
            for best in _sharpest(path, span, count, progress, stage):
                name = f"frame_{best.number:06d}.jpg"
                rgb = upright(best.frame, span.pixel_aspect)
                if (rgb.max((0, 1)).astype(int) - rgb.min((0, 1)) <= _CONSTANT).all():
                    aside.append(SetAside(name, "it has one colour all over"))
                else:
                    photos.append(_photo(name, rgb, best.time, path))
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a video that can be read ({error}).") from error
    if not photos:
        raise InputError(f"{path}: no frame of the video can be used. Check that it plays.")
    return Capture(
        photos=photos, layout=f"video, {len(photos)} sharp frames of {span.frames}", set_aside=aside
    )


def interval_count(frames: int, seconds: float, most: int) -> int:
    """Into how many intervals a video is cut."""
    wanted = max(math.ceil(seconds * _MAX_RATE), min(frames, _FEW))
    return max(1, min(most, frames, wanted))


def _span(path: Path) -> Span:
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise InputError(f"{path}: it has no video in it.")
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(1)
        aspect = float(stream.sample_aspect_ratio or 1)
        times: list[float] = []
        frames = 0
        for packet in container.demux(stream):
            if packet.size:
                frames += 1
                if packet.pts is not None:
                    times.append(float(packet.pts * base))
    if not frames:
        raise InputError(f"{path}: the video has no frame. Check that it plays.")
    if len(times) < frames:  # no times: count frames instead
        return Span(frames, 0.0, frames / _rate(stream), aspect)
    start, end = min(times), max(times)
    return Span(frames, start, end - start, aspect)


def _rate(stream: Any) -> float:
    return float(stream.average_rate or 25)


def _sharpest(path: Path, span: Span, count: int, progress: Progress, stage: Stage) -> Iterator[Best]:
    """The sharpest frame of each interval in which there is one; only one frame is held at a time."""
    best: Best | None = None
    for number, (time, frame) in enumerate(_decoded(path, span, progress)):
        share = (time - span.start) / span.seconds if span.seconds > 0 else number / span.frames
        interval = min(count - 1, max(0, int(share * count)))
        sharpness = frame_sharpness(frame)
        if best is not None and interval > best.interval:
            yield best
            best = None
        if best is None or sharpness > best.sharpness:
            best = Best(interval, number, time - span.start, sharpness, frame)
        stage.advance()
    if best is not None:
        yield best


def _decoded(path: Path, span: Span, progress: Progress) -> Iterator[tuple[float, Any]]:
    """Time in seconds and frame, as far as the video can be decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        number = 0
        try:
            for frame in container.decode(stream):
                timeless = frame.pts is None or frame.time is None
                yield (span.start + number / _rate(stream) if timeless else float(frame.time)), frame
                number += 1
        except av.FFmpegError as error:
            if not number:
                raise
            progress.note(f"{path}: damaged after {number} frames ({error.strerror}); those before are used.")


def frame_sharpness(frame: Any) -> float:
    """Variance of the Laplacian of a small grey copy (Pech-Pacheco et al. 2000)."""
    width = min(_LOOK_WIDTH, frame.width)
    height = max(1, round(frame.height * width / frame.width))
    gray = frame.reformat(width, height, "gray", interpolation="AREA").to_ndarray()
    return float(cv2.Laplacian(gray, cv2.CV_32F).var())


def upright(frame: Any, pixel_aspect: float) -> Pixels:
    """sRGB [H, W, 3] with square pixels, turned as the recording device was held."""
    width = frame.width
    if 0.25 <= pixel_aspect <= 4:  # some cameras record 1440 pixels to be shown as 1920
        width = round(frame.width * pixel_aspect)
    rgb = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    turns = round(frame.rotation / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(rgb, turns))


def _photo(name: str, rgb: Pixels, time: float, path: Path) -> Photo:
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _JPEG)
    if not done:
        raise InputError(f"{path}: frames of {rgb.shape[1]}×{rgb.shape[0]} pixels cannot be kept.")
    return Photo(
        name=name,
        width=rgb.shape[1],
        height=rgb.shape[0],
        decode=partial(_decode, encoded.tobytes()),
        lens="video",  # one lens took them all
        time=time,
    )


def _decode(encoded: bytes) -> Picture:
    bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    return Picture(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False))
