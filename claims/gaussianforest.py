"""GaussianForest: Hierarchical-Hybrid 3D Gaussian Splatting for Compressed Scene Modeling (2024).

All training photos, 160 pixels, 1,000 steps, at most 10,000 Gaussians, harmonics of degree 2. The forest's
own file beside files of vanilla 3DGS with as many Gaussians: float32 .ply, .spz with harmonics of degree 1
(plain quantisation), .sog (codebooks), and the smallest .flz that is as good as the forest in held-out
photos, among some that leave out what is seen least. Networks are about 10 kB of a forest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from claims._bench import Bench, Effort, Trials, benches, expect, measured, quality, spread
from claims.runner import Row, judged
from firstlight.compress import encode_at, measure_sensitivity
from firstlight.files import FOREST_FILE, decode_flz, load_gaussians
from firstlight.fitting import Recipe
from firstlight.scene import Gaussians

EFFORT = Effort(sets=("demo", "fox"))
QUALITIES = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0)  # of .flz files, from small to good
EQUAL = 0.05  # dB; so much worse is as good


class Stored(NamedTuple):
    """Bytes on disk, and the held-out PSNR in dB of what is read back."""

    forest: float
    forest_psnr: float
    trained_psnr: float  # before it was stored
    ply: float
    ply_psnr: float
    spz: float
    spz_psnr: float
    sog: float
    sog_psnr: float
    flz: float  # the smallest one that is as good as the forest; 0 where none is
    flz_psnr: float


def claim(effort: Effort = EFFORT) -> Iterator[Row]:
    trials, sets = Trials("gaussianforest", effort), benches(effort, None)
    forest = effort.recipe("gaussianforest")
    vanilla = replace(effort.recipe("vanilla"), sh_degree=forest.sh_degree)
    found = {
        bench.name: [
            Stored(
                *trials.values(
                    f"{bench.name}, files, seed {seed}", partial(stored, bench, forest, vanilla, seed)
                )
            )
            for seed in effort.seeds
        ]
        for bench in sets
    }
    smaller = {name: [one.ply / one.forest for one in each] for name, each in found.items()}
    lost = {name: [one.forest_psnr - one.ply_psnr for one in each] for name, each in found.items()}
    yield Row(
        "at least 10 times smaller than 3DGS in float32, at most 0.5 dB below it",
        "; ".join(f"{name} {fmean(smaller[name]):.1f} times, {spread(lost[name])} dB" for name in found),
        judged([fmean(smaller[name]) >= 10 and fmean(lost[name]) >= -0.5 for name in found]),
    )
    for kind, words in (("spz", "plain quantisation (.spz, degree 1)"), ("sog", "codebooks (.sog)")):
        size = {name: [getattr(one, kind) / one.forest for one in each] for name, each in found.items()}
        off = {
            name: [one.forest_psnr - getattr(one, f"{kind}_psnr") for one in each]
            for name, each in found.items()
        }
        yield Row(
            f"at least 1.5 times smaller than 3DGS after {words}, and no worse",
            "; ".join(f"{name} {fmean(size[name]):.2f} times, {spread(off[name])} dB" for name in found),
            judged([fmean(size[name]) >= 1.5 and fmean(off[name]) >= -EQUAL for name in found]),
        )
    coded = {name: [one.flz / one.forest for one in each] for name, each in found.items()}
    yield expect(
        "smaller than the smallest .flz of 3DGS that is as good (0: none is)",
        coded,
        1.0,
        "times its size",
    )
    yield expect(
        "storing it costs at most 0.1 dB",
        {name: [one.forest_psnr - one.trained_psnr for one in each] for name, each in found.items()},
        -0.1,
    )
    yield Row(
        "bytes and held-out PSNR, for the record",
        "; ".join(f"{name} {_listed(each)}" for name, each in found.items()),
        "",
    )
    trials.settled()


def stored(bench: Bench, forest: Recipe, vanilla: Recipe, seed: int) -> Stored:
    """Fit both, write every file, read it back and look at the held-out photos."""
    capture, photos = bench.capture, bench.split.test
    cameras = capture.cameras
    assert cameras is not None

    def look(gaussians: Gaussians) -> float:
        return quality(gaussians, capture, cameras, photos)

    ours, fitted = measured(bench, forest, seed)
    plain = measured(bench, vanilla, seed)[1].gaussians
    assert fitted.model is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fitted.model.save(folder)
        plain.save(folder / "scene.ply")
        plain.with_degree(1).save(folder / "scene.spz")
        plain.save(folder / "scene.sog")
        files = [folder / FOREST_FILE, *(folder / f"scene.{kind}" for kind in ("ply", "spz", "sog"))]
        sizes = [float(file.stat().st_size) for file in files]
        seen = [look(load_gaussians(file)) for file in files]
    sensitivity = measure_sensitivity(plain, cameras.select(bench.split.train))
    flz = 0.0, 0.0
    for wanted in QUALITIES:
        data, _ = encode_at(plain, sensitivity, wanted)
        decibels = look(decode_flz(data, Path("scene.flz")))
        if decibels >= seen[0] - EQUAL:
            flz = float(len(data)), decibels
            break
    return Stored(sizes[0], seen[0], ours.psnr, sizes[1], seen[1], sizes[2], seen[2], sizes[3], seen[3], *flz)


def _listed(each: list[Stored]) -> str:
    kinds = ("forest", "ply", "spz", "sog", "flz")
    means = {
        kind: (fmean(getattr(one, kind) for one in each), fmean(getattr(one, f"{kind}_psnr") for one in each))
        for kind in kinds
    }
    return ", ".join(f"{kind} {size / 1e3:,.0f} kB {psnr:.2f} dB" for kind, (size, psnr) in means.items())
