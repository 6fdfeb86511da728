"""Picture files as 8-bit sRGB."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from firstlight.errors import InputError
from firstlight.scene import KEEP_FROM, Picture

Pixels = npt.NDArray[np.uint8]

HEIC = frozenset({".heic", ".heif"})
PHOTO_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}) | HEIC

# Only these decoders are ever run on a file, whatever its ending says.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "HEIF")
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"})
# Above what cameras make (100 megapixels), a picture is a mistake or a decompression bomb: 300 MB decoded.
MAX_PIXELS = 110_000_000

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow warns about odd headers (a phone's stray MPO index, a broken EXIF entry); nobody can act on that.
# catch_warnings changes the whole process, so only one thread at a time may be inside.
_warnings_lock = threading.Lock()


class UnusableError(Exception):
    """Why a picture file cannot be used, in words that follow 'name: '."""


@contextmanager
def _no_warnings() -> Iterator[None]:
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The picture with its header read; UnusableError when that, or anything in the block, fails."""
    try:
        if path.stat().st_size == 0:
            raise UnusableError("the file is empty (0 bytes)")
        # Opened here and not by Pillow, which forgets to close files that it fails to read.
        with path.open("rb") as file:
            if path.suffix.lower() in HEIC or _is_heic(file.read(12)):
                _enable_heic()
            file.seek(0)
            with _no_warnings():
                image = Image.open(file, formats=_formats())
            if image.width * image.height > MAX_PIXELS:
                raise UnusableError(
                    f"{image.width}×{image.height} pixels are more than {MAX_PIXELS // 10**6} million: "
                    "make it smaller first"
                )
            if image.format != "PNG":  # a PNG may have it behind the pixels, and would load them now
                read_exif(image)
            yield image
    except UnusableError:
        raise
    except UnidentifiedImageError:
        raise UnusableError("not a picture, or its beginning is damaged") from None
    except Image.DecompressionBombError:
        raise UnusableError(
            f"more than {MAX_PIXELS // 10**6} million pixels: make it smaller first"
        ) from None
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise UnusableError(f"cannot be read: {_in_words(error)}") from error


def read_exif(image: Image.Image) -> Image.Exif:
    """The EXIF tags; Pillow keeps them, so only the first call reads."""
    with _no_warnings():
        exif = image.getexif()
        exif.get_ifd(0x8769)
    return exif


def _formats() -> list[str]:
    """Those of the decoders that are there: HEIC comes with an extra."""
    Image.init()  # Pillow loads most decoders only then; costs nothing the second time
    return [name for name in _FORMATS if name in Image.OPEN]


def _is_heic(beginning: bytes) -> bool:
    """Phones and converters also call such files .jpg."""
    return beginning[4:8] == b"ftyp" and beginning[8:12] in _HEIC_BRANDS


def _in_words(error: Exception) -> str:
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return "the file is cut short"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


@cache
def _enable_heic() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise UnusableError(
            "HEIC photos need one more package: pip install 'firstlight[heic]' (or save them as JPEG)"
        ) from None
    pillow_heif.register_heif_opener()


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. Some formats apply and forget it on loading: ask after."""
    value = read_exif(image).get(_ORIENTATION, 1)
    return value if isinstance(value, int) and value in _TURNS else 1


def pixels(image: Image.Image, turn: int = 1) -> tuple[Pixels, Pixels | None]:
    """sRGB [H, W, 3], and alpha [H, W] where it says anything; ``turn`` is an EXIF orientation to apply."""
    image.load()
    if turn in _TURNS:
        image = image.transpose(_TURNS[turn])
    if image.mode == "F":
        raise UnusableError("it stores floating-point values: save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return _from_16_bit(image), None
    alpha = None
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A"))
        image = image.convert("RGB")
    rgb = np.array(_to_srgb(image))
    return rgb, None if alpha is None or alpha.min() == 255 else alpha


def _from_16_bit(image: Image.Image) -> Pixels:
    values = np.asarray(image).astype(np.int64)
    gray = ((np.clip(values, 0, 65535) * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(gray[..., None], 3, -1)


def _to_srgb(image: Image.Image) -> Image.Image:
    """By the embedded colour profile where there is one: phones save Display P3, print shops CMYK."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            transform = _transform_to_srgb(profile, image.mode)
            if transform is not None:
                return transform.apply(image)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a damaged profile: the plain numbers are the best guess
    return image.convert("RGB")


@cache
def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")


def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None when the profile is sRGB itself: then there is nothing to do, and time to save."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(source).lower():
        return None
    return ImageCms.buildTransform(source, _srgb(), mode, "RGB")


def load_mask(path: Path, width: int, height: int) -> Pixels:
    """A mask picture as [height, width] of 255 (keep) and 0; UnusableError when its shape is another."""
    with opened(path) as image:
        rgb, alpha = pixels(image)
    mask = rgb.max(-1)
    if alpha is not None:
        mask = np.minimum(mask, alpha)
    if mask.max() == 1:  # stored as 0 and 1
        mask = mask * np.uint8(255)
    if not same_shape(mask.shape[1], mask.shape[0], width, height):
        raise UnusableError(
            f"it is {mask.shape[1]}×{mask.shape[0]} pixels, the photo {width}×{height}: "
            "their shapes must be the same"
        )
    if mask.shape != (height, width):
        shrinks = mask.shape[0] > height
        mask = cv2.resize(
            mask, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
    return np.where(mask >= KEEP_FROM, 255, 0).astype(np.uint8)


def same_shape(a_width: int, a_height: int, b_width: int, b_height: int) -> bool:
    """Whether one size is the other scaled, up to rounding to whole pixels."""
    slack = max(a_width, a_height, b_width, b_height)
    return abs(a_width * b_height - b_width * a_height) <= slack


def decode(
    path: Path,
    turned: bool,
    size: tuple[int, int],
    mask_path: Path | None,
    background: tuple[float, float, float] | None,
) -> Picture:
    """What ``Photo.decode`` calls: pixels of ``size`` (width, height); InputError when the file changed.

    Alpha is a mask, unless there is a ``background`` to lay the picture on.
    """
    try:
        with opened(path) as image:
            image.load()
            rgb, alpha = pixels(image, orientation(image) if turned else 1)
    except UnusableError as why:
        raise InputError(f"{path}: {why}. It could be read when the photos were looked through.") from why
    if (rgb.shape[1], rgb.shape[0]) != size:
        raise InputError(f"{path}: its size changed since the photos were looked through. Start again.")
    if alpha is not None and background is not None:
        rgb, alpha = _over(rgb, alpha, background), None
    mask = None if alpha is None else np.where(alpha >= KEEP_FROM, 255, 0).astype(np.uint8)
    if mask_path is not None:
        try:
            painted = load_mask(mask_path, *size)
        except UnusableError as why:
            raise InputError(f"{mask_path}: {why}.") from why
        mask = painted if mask is None else np.minimum(mask, painted)
    return Picture(rgb, mask)


def _over(rgb: Pixels, alpha: Pixels, background: tuple[float, float, float]) -> Pixels:
    a = alpha[..., None].astype(np.float32) / 255
    behind = np.array(background, np.float32) * 255
    return (rgb * a + behind * (1 - a) + 0.5).astype(np.uint8)
