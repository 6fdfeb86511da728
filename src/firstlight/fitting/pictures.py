"""The photos of a fit: decoded once where memory allows, as uint8."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from firstlight.scene import Cameras, Capture, Photo, Picture
from firstlight.scene.capture import resize_depth, resize_picture

DEFAULT_BUDGET = 600 * 2**20
LEAST = 80  # pixels of the longer side that shrinking leaves: what is smaller misleads more than it hastens


class Pictures:
    """Decoded photos at the size that a step asks for; those last used are kept, within ``budget`` bytes."""

    def __init__(self, capture: Capture, budget: int = DEFAULT_BUDGET) -> None:
        assert capture.cameras is not None
        self.photos: list[Photo] = capture.photos
        self.cameras: Cameras = capture.cameras
        self.budget = budget
        self.kept: OrderedDict[tuple[int, int, int], Picture] = OrderedDict()
        self.bytes = 0
        self.shrunk: dict[tuple[int, int, int], Cameras] = {}

    def at(self, index: int, scale: float = 1.0) -> Picture:
        """Photo ``index``, its sides shrunk by ``scale``, but the longer one to no less than ``LEAST``."""
        photo = self.photos[index]
        width, height = _shrunk(photo, scale)
        key = (index, width, height)
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        picture = self._full(index)
        if (width, height) != (photo.width, photo.height):
            picture = resize_picture(picture, width, height)
        self._keep(key, picture)
        return picture

    def camera(self, index: int, scale: float = 1.0) -> Cameras:
        """The one camera of photo ``index``, shrunk by ``scale``."""
        width, height = _shrunk(self.photos[index], scale)
        key = (index, width, height)
        if key not in self.shrunk:
            one = self.cameras.select([index])
            self.shrunk[key] = one.resized(torch.tensor([width]), torch.tensor([height]))
        return self.shrunk[key]

    def depth(self, index: int, scale: float = 1.0) -> Tensor | None:
        """z-depth of photo ``index`` [H, W] at that size, 0 where unknown; None when it has none."""
        photo = self.photos[index]
        if photo.depth is None:
            return None
        return torch.from_numpy(resize_depth(photo.depth(), *_shrunk(photo, scale)))

    def _full(self, index: int) -> Picture:
        photo = self.photos[index]
        key = (index, photo.width, photo.height)
        if key in self.kept:
            return self.kept[key]
        picture = photo.decode()
        # Later, finer steps will ask for it again; but it must not push out what the present ones use.
        if self.bytes + _size(picture) <= self.budget:
            self._keep(key, picture)
        return picture

    def _keep(self, key: tuple[int, int, int], picture: Picture) -> None:
        if key in self.kept:
            return
        self.kept[key] = picture
        self.bytes += _size(picture)
        while self.bytes > self.budget and len(self.kept) > 1:
            self.bytes -= _size(self.kept.popitem(last=False)[1])


def as_tensors(picture: Picture) -> tuple[Tensor, Tensor | None]:
    """Photo [H, W, 3] and mask [H, W], uint8, sharing the picture's memory."""
    return torch.from_numpy(picture.rgb), None if picture.mask is None else torch.from_numpy(picture.mask)


def _shrunk(photo: Photo, scale: float) -> tuple[int, int]:
    scale = max(scale, min(1.0, LEAST / max(photo.width, photo.height)))
    return max(1, round(photo.width * scale)), max(1, round(photo.height * scale))


def _size(picture: Picture) -> int:
    return picture.rgb.nbytes + (0 if picture.mask is None else picture.mask.nbytes)
