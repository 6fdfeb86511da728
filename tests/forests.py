"""A small forest that tests of several rooms use."""

from __future__ import annotations

import torch

from firstlight.scene.forest import WAVE_WIDTH, Forest, Network
from firstlight.scene.sh import sh_count


def random_forest(
    leaves: int = 200, branches: int = 30, roots: int = 5, degree: int = 1, seed: int = 0
) -> Forest:
    """Every branch has a leaf and every root a branch; nothing is in order. float32."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def owners(count: int, groups: int) -> torch.Tensor:
        some = torch.randint(groups, (count - groups,), generator=generator)
        whole = torch.cat([torch.arange(groups), some])
        return whole[torch.randperm(count, generator=generator)]

    def network(out: int) -> Network:
        sizes = ((12, 4 + 6 + WAVE_WIDTH), (12, 12), (out, 12))
        return tuple(tensor for o, i in sizes for tensor in (normal(o, i) / i**0.5, 0.1 * normal(o)))

    branch, root, places = owners(leaves, branches), owners(branches, roots), 3 * normal(roots, 3)
    return Forest(
        means=places[root[branch]] + 0.4 * normal(leaves, 3),
        logit_opacities=2 * normal(leaves),
        branch=branch,
        branches=normal(branches, 4),
        root=root,
        roots=normal(roots, 6),
        places=places,
        units=0.3 + torch.rand(roots, generator=generator),
        shape=network(7),
        colour=network(3 * sh_count(degree)),
    )
