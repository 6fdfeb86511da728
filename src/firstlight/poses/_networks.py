"""What keypoints that a network finds have in common."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from firstlight.poses._features import Features, pixels_of
from firstlight.scene import Photo

LENGTH = 127.0  # of a descriptor as it is stored

Find = Callable[[Tensor], tuple[Tensor, Tensor]]


def describe_by(find: Find, photo: Photo, max_size: int) -> Features:
    """Keypoints of a photo, none where its mask says to ignore it.

    find: from a picture [1, 3, H, W] from 0 to 1 to keypoints [N, 2], the first pixel's centre at 0, and unit
    descriptors [N, D], the surest first. max_size: pixels of the long side of the picture that it is given.
    """
    picture = photo.resized(max_size).decode()
    height, width = picture.rgb.shape[:2]
    with torch.inference_mode():
        found, described = find(torch.from_numpy(picture.rgb).permute(2, 0, 1)[None].float() / 255)
    xy, descriptors = found.numpy().astype(np.float32) + 0.5, described.numpy()
    column, row = pixels_of(xy, width, height)
    if picture.mask is not None:
        mask = cv2.resize(picture.mask, (width, height), interpolation=cv2.INTER_NEAREST)
        kept = mask[row, column] > 0
        xy, descriptors, column, row = xy[kept], descriptors[kept], column[kept], row[kept]
    if len(xy) == 0:
        return Features.none()
    stored = np.rint(LENGTH * descriptors).astype(np.int8)
    to_photo = np.array([photo.width / width, photo.height / height], np.float32)
    return Features(xy * to_photo, stored, picture.rgb[row, column], (photo.width, photo.height), LENGTH)


def as_tensors(features: Features, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first ``count`` keypoints [1, N, 2], their descriptors [1, N, D], width and height [1, 2]."""
    xy = torch.from_numpy(features.xy[:count])[None]
    descriptors = torch.from_numpy(features.descriptors[:count]).float()[None] / features.length
    return xy, descriptors, torch.tensor(features.size)[None]
