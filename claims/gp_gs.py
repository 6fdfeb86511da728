"""GP-GS: Gaussian Processes for Enhanced Gaussian Splatting (Guo et al. 2025).

12 photos at 160 pixels, 1,000 steps, at most 10,000 Gaussians. Points are added to the sparse ones in
four ways, equally many: what the process is sure of, what it says without asking how sure it is, copies
of the sparse points moved by as much as they lie apart, and the depth of firstlight's stereo put on the
same pixels' rays. How right the points themselves are is asked of the demo, whose surfaces are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from claims._bench import Bench, Effort, Trials, ahead, all_fits, benches, expect, for_the_record
from claims.runner import Row, judged
from firstlight.processes import GpRegression, Prediction
from firstlight.scene import Capture
from firstlight.scene.neighbours import nearest
from firstlight.starts import GpStart, SfmPoints
from firstlight.starts.pixelwise import on_rays

EFFORT = Effort(sets=("demo", "fox"))


@dataclass(frozen=True)
class BackProjection(GpRegression):
    """No process: a pixel and its depth say where a point is. Half of them are kept, whichever they are."""

    def __call__(self, inputs: Tensor, outputs: Tensor, asked: Tensor) -> Prediction:
        def rays(each: Tensor) -> Tensor:  # a place is linear in these, and known points give the camera away
            return torch.cat([each[:, :2] * each[:, 2:], each[:, 2:], torch.ones_like(each[:, 2:])], -1)

        camera = torch.linalg.lstsq(rays(inputs), outputs[:, :3]).solution
        colours = outputs[torch.cdist(asked[:, :2], inputs[:, :2]).argmin(1), 3:]
        return Prediction(torch.cat([rays(asked) @ camera, colours], -1), _any_half(len(asked)))


@dataclass(frozen=True)
class Jitter(GpRegression):
    """No process: known points, moved by as much as they lie apart."""

    def __call__(self, inputs: Tensor, outputs: Tensor, asked: Tensor) -> Prediction:
        generator = torch.Generator().manual_seed(len(asked))
        chosen = torch.randint(len(outputs), (len(asked),), generator=generator)
        gap = (outputs[:, :3] - outputs[nearest(outputs[:, :3], 1)[:, 0], :3]).norm(dim=-1)[chosen]
        noise = torch.randn(len(asked), 3, dtype=outputs.dtype, generator=generator) * gap[:, None]
        moved = torch.cat([outputs[chosen, :3] + noise, outputs[chosen, 3:]], -1)
        return Prediction(moved, _any_half(len(asked)))


@dataclass(frozen=True)
class Unasked(GpRegression):
    """The process, with the half that is kept drawn by chance."""

    def __call__(self, inputs: Tensor, outputs: Tensor, asked: Tensor) -> Prediction:
        return Prediction(super().__call__(inputs, outputs, asked).mean, _any_half(len(asked)))


def _any_half(count: int) -> Tensor:
    """Variances [count, 6] that mean nothing."""
    return torch.rand(count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(count))


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("gp_gs", effort), benches(effort, 12)
    full = effort.recipe("gp-gs")
    arms = {
        "sparse points": replace(full, start=SfmPoints()),
        "process": full,
        "process, not asked how sure": replace(full, start=GpStart(process=Unasked())),
        "jittered": replace(full, start=GpStart(process=Jitter())),
        "stereo's depth": replace(full, start=GpStart(process=BackProjection())),
    }
    right = {
        bench.name: trials.values(f"{bench.name}, errors", partial(errors, bench))
        for bench in sets
        if bench.truth is not None
    }
    yield Row(
        "points that the process is sure of are at least 20 % nearer to the surface than those it is not",
        "; ".join(
            f"{name} {100 * sure:.2f} cm against {100 * unsure:.2f}" for name, (sure, unsure) in right.items()
        ),
        judged([sure <= 0.8 * unsure for sure, unsure in right.values()]),
    )
    found = all_fits(trials, sets, arms)
    yield expect("0.3 dB above sparse points", ahead(found["process"], found["sparse points"]), 0.3)
    yield expect("0.1 dB above jittered points", ahead(found["process"], found["jittered"]), 0.1)
    yield expect(
        "asking how sure it is is worth 0.1 dB",
        ahead(found["process"], found["process, not asked how sure"]),
        0.1,
    )
    yield expect("not below stereo's own depth", ahead(found["process"], found["stereo's depth"]), 0.0)
    yield for_the_record(found)
    trials.settled()


def errors(bench: Bench) -> tuple[float, float]:
    """Median distance to the true surface, in metres, of what the process is sure of and of the rest."""
    assert bench.truth is not None
    seen = bench.with_geometry("stereo")[0].select(bench.split.train)
    heard: list[Prediction] = []

    @dataclass(frozen=True)
    class Listening(GpRegression):
        def __call__(self, inputs: Tensor, outputs: Tensor, asked: Tensor) -> Prediction:
            heard.append(super().__call__(inputs, outputs, asked))
            return heard[-1]

    start = GpStart(photos=1, process=Listening())
    start(seen, torch.Generator().manual_seed(0))
    doubt = heard[0].variance[:, 3:].mean(-1)
    sure = doubt <= doubt.quantile(start.kept)
    surface = cKDTree(_surface(bench.truth.select(bench.split.train)))
    away = torch.from_numpy(surface.query(heard[0].mean[:, :3].numpy())[0])
    return float(away[sure].median()), float(away[~sure].median())


def _surface(truth: Capture) -> np.ndarray:
    """Points [P, 3] of all pixels whose depth is known."""
    assert truth.cameras is not None
    parts = []
    for index, photo in enumerate(truth.photos):
        assert photo.depth is not None
        depth = torch.from_numpy(photo.depth())
        row, column = (depth > 0).nonzero().unbind(-1)
        parts.append(on_rays(truth.cameras.select([index]), column, row, depth[row, column]))
    return torch.cat(parts).numpy()
