"""A Fast Incremental Gaussian Mixture Model (Pinto and Engel 2015), and the start that is made of it.

The mixture on made data: one component against the batch covariance, and a point in 200 dimensions
against an update that inverts. The start on photos: up to 24 at 160 pixels, 1,000 steps, against as many
sparse points drawn at random; the paper proposes no such use.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

import numpy as np
import torch

from claims._bench import Effort, Measured, Trials, ahead, benches, expect, for_the_record
from claims.runner import Row, judged
from firstlight.mixtures import IncrementalGMM
from firstlight.starts import IgmnStart, SfmPoints

DIMENSIONS = 200

EFFORT = Effort(sets=("demo", "fox"))


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    worst = max(covariance_error(seed) for seed in effort.seeds)
    yield Row(
        "one component is the covariance of its points and of one of the prior's, to 1e-9",
        f"relative error {worst:.1e} at most",
        judged([worst < 1e-9]),
    )
    ratios = [slower_by_inverting(seed) for seed in effort.seeds]
    yield Row(
        f"in {DIMENSIONS} dimensions a point takes a tenth of the time of an update that inverts",
        f"{fmean(ratios):.0f} times as fast ({min(ratios):.0f} … {max(ratios):.0f})",
        judged([fmean(ratios) >= 10]),
    )
    trials, sets = Trials("igmn_start", effort), benches(effort, 24)
    igmn = effort.recipe("igmn-start")
    found: dict[str, dict[str, list[Measured]]] = {}
    counts = {}
    for bench in sets:
        seen = bench.capture.select(bench.split.train)
        count = counts[bench.name] = len(IgmnStart()(seen, torch.Generator().manual_seed(0)))
        for arm, recipe in (
            ("mixture", igmn),
            ("as many points", replace(igmn, start=SfmPoints(max_points=count))),
            ("all points", replace(igmn, start=SfmPoints())),
        ):
            found.setdefault(arm, {})[bench.name] = trials.fits(bench, arm, recipe)
    yield expect(
        "its start is at least 0.2 dB above as many points drawn at random",
        ahead(found["mixture"], found["as many points"]),
        0.2,
    )
    yield expect(
        "its start is at most 0.2 dB below all points", ahead(found["mixture"], found["all points"]), -0.2
    )
    components = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    yield for_the_record(found, f"components of the start: {components}")
    trials.settled()


def covariance_error(seed: int) -> float:
    """Of one component after 500 points, over the largest entry of the covariance that it should be."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6))
    spread = points.std(0)
    mixture = IncrementalGMM(beta=0.0, delta=1.0, max_components=1).partial_fit(points, spread)
    offsets = points - points.mean(0)
    wanted = (offsets.T @ offsets + np.diag(spread**2)) / len(points)
    return float(np.abs(mixture.covariances[0] - wanted).max() / np.abs(wanted).max())


def slower_by_inverting(seed: int) -> float:
    """How many times as long a point takes when the covariance is moved and inverted instead."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(200, DIMENSIONS))
    mixture = IncrementalGMM(beta=0.0, delta=1.0, max_components=1)
    mixture.partial_fit(points[:2], np.ones(DIMENSIONS))  # compiles
    began = time.perf_counter()
    mixture.partial_fit(points, np.ones(DIMENSIONS))
    ours = time.perf_counter() - began
    mean, covariance = points[0], np.eye(DIMENSIONS)
    began = time.perf_counter()
    for count, x in enumerate(points, 2):
        precision = np.linalg.inv(covariance)
        offset = x - mean
        _ = offset @ precision @ offset
        covariance = (1 - 1 / count) * (covariance + np.outer(offset, offset) / count)
        mean = mean + offset / count
    return (time.perf_counter() - began) / ours
