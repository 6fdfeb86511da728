"""Videos made here with PyAV: which frames are chosen, and how they come out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.capture import load
from firstlight.capture._video import interval_count
from firstlight.errors import InputError
from tests.capture.made import Pixels, texture

CODECS = {"mp4": "libx264", "mov": "libx264", "mkv": "libx264", "avi": "mpeg4", "webm": "libvpx-vp9"}


def detailed(seed: int, width: int = 160, height: int = 120) -> Pixels:
    """A pattern with edges, in a colour that tells the frame."""
    rng = np.random.default_rng(99)
    cells = rng.integers(0, 2, (height // 8, width // 8, 1)).repeat(8, 0).repeat(8, 1)
    colour = np.array([40 + 10 * (seed % 20), 255 - 10 * (seed % 20), 128])
    return np.asarray(np.where(cells, colour, 20), np.uint8)


def write_video(
    path: Path, frames: list[Pixels], rate: int = 10, rotation: int = 0, aspect: Fraction | None = None
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.suffix[1:]], rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for i, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if rotation:
        turn(path, rotation)
    return path


def turn(path: Path, degrees: int) -> None:
    """Set the display matrix of an mp4's track header by hand, as phones do for portrait videos."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix stands 40 bytes after the type
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    matrix = [cos, sin, 0, -sin, cos, 0, 0, 0]
    data[at : at + 32] = b"".join((65536 * v).to_bytes(4, "big", signed=True) for v in matrix)
    path.write_bytes(data)


@pytest.mark.parametrize("ending", CODECS)
def test_every_container(tmp_path, ending):
    frames = [detailed(i) for i in range(20)]
    capture = load(write_video(tmp_path / f"clip.{ending}", frames))
    assert capture.layout == "video, 20 sharp frames of 20"
    assert [photo.name for photo in capture.photos] == [f"frame_{i:06d}.jpg" for i in range(20)]
    assert [photo.time for photo in capture.photos] == pytest.approx([i / 10 for i in range(20)], abs=0.002)
    assert len({photo.lens for photo in capture.photos}) == 1 and capture.photos[0].lens
    for i in (0, 7, 19):
        photo = capture.photos[i]
        assert (photo.width, photo.height) == (160, 120)
        found = photo.decode().rgb
        assert np.abs(found.astype(int) - frames[i]).mean() < 12
        np.testing.assert_array_equal(found, photo.decode().rgb)


def test_the_sharp_frame_of_each_interval_is_taken(tmp_path):
    sharp = {3, 14, 22, 38}
    frames = [
        f if i in sharp else cv2.GaussianBlur(f, (0, 0), 3) for i, f in enumerate(map(detailed, range(40)))
    ]
    capture = load(write_video(tmp_path / "clip.mp4", frames), max_video_frames=4)
    assert {int(photo.name[6:12]) for photo in capture.photos} == sharp
    assert [photo.time for photo in capture.photos] == pytest.approx([0.3, 1.4, 2.2, 3.8], abs=0.002)


def test_a_phone_held_upright(tmp_path):
    upright = detailed(0, 120, 160)
    for degrees, turns in ((90, 1), (180, 2), (270, 3)):
        stored = [np.rot90(upright, turns)] * 4
        path = write_video(tmp_path / f"{degrees}.mp4", stored, rotation=degrees)
        photo = load(path).photos[0]
        assert (photo.width, photo.height) == (120, 160)
        assert np.abs(photo.decode().rgb.astype(int) - upright).mean() < 12, degrees


def test_pixels_that_are_not_square(tmp_path):
    path = write_video(tmp_path / "clip.mp4", [detailed(0)] * 3, aspect=Fraction(4, 3))
    photo = load(path).photos[0]
    assert (photo.width, photo.height) == (213, 120)
    wide = cv2.resize(detailed(0), (213, 120))
    assert np.abs(photo.decode().rgb.astype(int) - wide).mean() < 15


def test_plain_frames_are_set_aside(tmp_path):
    frames = [np.zeros((120, 160, 3), np.uint8)] * 3 + [detailed(i) for i in range(3)]
    capture = load(write_video(tmp_path / "clip.mp4", frames))
    assert [one.name for one in capture.set_aside] == [f"frame_{i:06d}.jpg" for i in range(3)]
    assert len(capture) == 3


def test_a_video_that_was_cut_short_is_used_as_far_as_it_goes(tmp_path):
    path = write_video(tmp_path / "clip.mkv", [detailed(i) for i in range(40)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert 5 < len(load(path)) < 40


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100, b"\0\0\0\x18ftypmp42" + b"\0" * 200])
@pytest.mark.parametrize("ending", ["mp4", "MOV", "avi", "mkv", "webm"])
def test_files_that_are_no_video(tmp_path, content, ending):
    path = tmp_path / f"clip.{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=path.name):
        load(path)


def test_sound_without_pictures(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="has no video in it"):
        load(path)


def test_only_black(tmp_path):
    path = write_video(tmp_path / "clip.mp4", [np.zeros((120, 160, 3), np.uint8)] * 5)
    with pytest.raises(InputError, match="no frame of the video can be used"):
        load(path)


def test_a_wrong_number_of_frames(tmp_path):
    path = write_video(tmp_path / "clip.mp4", [texture(160, 120)] * 2)
    with pytest.raises(InputError, match="0 video frames asked for"):
        load(path, max_video_frames=0)


@given(frames=st.integers(1, 10**6), seconds=st.floats(0, 10**5), most=st.integers(1, 1000))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_interval_count(frames, seconds, most):
    count = interval_count(frames, seconds, most)
    assert 1 <= count <= min(frames, most)
    assert count >= min(frames, most, 24)
