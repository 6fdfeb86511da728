"""GDGS: 3DGS via Geometry-Guided Initialization and Dynamic Density Control (2025).

Up to 24 photos at 160 pixels, 1,000 steps, at most 10,000 Gaussians; the whole beside itself without one
of its three parts. Normals are held against the demo's exact depths: the median angle between a
Gaussian's thinnest axis and the surface that it lies on, of those at least a tenth opaque and within 2 %
of the surface's depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from claims._bench import Bench, Effort, Trials, ahead, all_fits, benches, expect, for_the_record, measured
from claims.runner import Row, judged
from firstlight.density import Vanilla
from firstlight.fitting import Photometric, Recipe
from firstlight.scene import Capture, Gaussians
from firstlight.scene.rotation import quat_to_rotmat
from firstlight.starts import GuidedStart
from firstlight.starts.pixelwise import on_rays
from firstlight.starts.random_box import pixels_of

NEAR = 0.02  # of the depth

EFFORT = Effort(sets=("demo", "fox"))


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("gdgs", effort), benches(effort, 24)
    whole = effort.recipe("gdgs")
    arms = {
        "whole": whole,
        "no alignment": replace(whole, losses=(Photometric(),)),
        "no complexity": replace(whole, density=Vanilla()).limited(10_000),
        "plain planes": replace(whole, start=GuidedStart(trust=0.0)),
        "vanilla": effort.recipe("vanilla"),
    }
    found = all_fits(trials, sets, arms)
    exact = [bench for bench in sets if bench.truth is not None]
    angles = {
        arm: {
            bench.name: [
                trials.value(
                    f"{bench.name}, angle of {arm}, seed {seed}",
                    partial(angle_of, bench, arms[arm], seed),
                )
                for seed in effort.seeds
            ]
            for bench in exact
        }
        for arm in ("whole", "no alignment")
    }
    smaller = {
        name: 1 - fmean(each) / fmean(angles["no alignment"][name]) for name, each in angles["whole"].items()
    }
    yield Row(
        "surface alignment makes the error of normals at least 30 % smaller",
        "; ".join(
            f"{name} {fmean(each):.1f}° with it, {fmean(angles['no alignment'][name]):.1f}° without"
            for name, each in angles["whole"].items()
        ),
        judged([value >= 0.3 for value in smaller.values()]),
    )
    yield expect("surface alignment costs at most 0.2 dB", ahead(found["whole"], found["no alignment"]), -0.2)
    yield expect(
        "thresholds by complexity are worth at least 0.2 dB",
        ahead(found["whole"], found["no complexity"]),
        0.2,
    )
    yield expect(
        "centres that a network predicts are at least 0.1 dB above the points themselves",
        ahead(found["whole"], found["plain planes"]),
        0.1,
    )
    yield expect("the whole is not below vanilla", ahead(found["whole"], found["vanilla"]), 0.0)
    yield for_the_record(found)
    trials.settled()


def angle_of(bench: Bench, recipe: Recipe, seed: int) -> float:
    """Median degrees between thinnest axes and true normals, over training photos."""
    assert bench.truth is not None
    gaussians = measured(bench, recipe, seed)[1].gaussians.detach()
    return float(torch.cat([_angles(gaussians, bench.truth, photo) for photo in bench.split.train]).median())


def _angles(gaussians: Gaussians, truth: Capture, index: int) -> Tensor:
    """Degrees [P] for the Gaussians that lie on a surface which photo ``index`` sees."""
    cameras, photo = truth.cameras, truth.photos[index]
    assert cameras is not None
    assert photo.depth is not None
    depth = torch.from_numpy(photo.depth())
    normals = normals_of(depth, truth, index)  # [H - 2, W - 2, 3]
    place, inside = pixels_of(gaussians.means.double(), cameras, index)
    column, row = place.long().unbind(-1)
    inside &= (column > 0) & (row > 0) & (column < photo.width - 1) & (row < photo.height - 1)
    inside &= gaussians.opacities > 0.1
    column, row = column[inside], row[inside]
    viewmat = cameras.viewmats[index].double()
    z = gaussians.means[inside].double() @ viewmat[2, :3] + viewmat[2, 3]
    there = depth[row, column].double()
    normal = normals[row - 1, column - 1]
    on = (there > 0) & ((z - there).abs() < NEAR * there) & normal.isfinite().all(-1)
    rotations = quat_to_rotmat(gaussians.quats[inside][on])
    thinnest = gaussians.log_scales[inside][on].argmin(-1)
    axes = rotations.gather(2, thinnest[:, None, None].expand(-1, 3, 1)).squeeze(-1).double()
    return (axes * normal[on]).sum(-1).abs().clamp(max=1).acos().rad2deg()


def normals_of(depth: Tensor, truth: Capture, index: int) -> Tensor:
    """World normals [H − 2, W − 2, 3] of a depth map [H, W], not finite beside unknown depth."""
    assert truth.cameras is not None
    height, width = depth.shape
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    z = torch.where(depth > 0, depth.double(), torch.nan).flatten()
    xyz = on_rays(truth.cameras.select([index]), column.flatten(), row.flatten(), z).reshape(height, width, 3)
    across, down = xyz[1:-1, 2:] - xyz[1:-1, :-2], xyz[2:, 1:-1] - xyz[:-2, 1:-1]
    normals: Tensor = torch.nn.functional.normalize(torch.linalg.cross(across, down), dim=-1)
    return normals
