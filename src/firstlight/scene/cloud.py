"""Points on surfaces, dense enough that a scene can begin with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from firstlight.scene.similarity import Similarity


@dataclass(eq=False)
class Cloud:
    """What dense geometry found: one point for each pixel of a photo whose surface no surer photo shows.

    Unlike ``Points`` these are as many as pixels, and each knows which photo made it.
    """

    xyz: Tensor  # [P, 3] float32, scene units
    rgb: Tensor  # [P, 3] uint8, sRGB of that pixel
    normals: Tensor  # [P, 3] float32, unit, towards the photo that made the point
    widths: Tensor  # [P] float32, scene units between points: what one of the photo's pixels shows there
    sigmas: Tensor  # [P] float32, scene units: standard deviation along the ray
    confidences: Tensor  # [P] float32 in [0, 1]
    photos: Tensor  # [P] int64, the photo that made the point

    def __len__(self) -> int:
        return len(self.xyz)

    def select(self, keep: Tensor) -> Cloud:
        """Those where the mask ``keep`` [P] is set, or those at the indices ``keep``."""
        return Cloud(*(getattr(self, field.name)[keep] for field in fields(self)))

    def made_by(self, index: Sequence[int], photos: int) -> Cloud:
        """Those of the photos at ``index`` among ``photos``, which are counted anew in that order."""
        place = torch.full((photos,), -1)
        place[torch.tensor(list(index), dtype=torch.long)] = torch.arange(len(index))
        moved = replace(self, photos=place[self.photos])
        return moved.select(moved.photos >= 0)

    def transform(self, similarity: Similarity) -> Cloud:
        """The cloud moved by ``similarity``; lengths grow by its scale."""
        return replace(
            self,
            xyz=similarity.apply(self.xyz),
            normals=self.normals @ similarity.rotation.to(self.normals).T,
            widths=self.widths * similarity.scale,
            sigmas=self.sigmas * similarity.scale,
        )

    @staticmethod
    def joined(clouds: Sequence[Cloud]) -> Cloud:
        """All points of at least one cloud, in order."""
        return Cloud(*(torch.cat([getattr(one, field.name) for one in clouds]) for field in fields(Cloud)))
