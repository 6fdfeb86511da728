"""``docs/few-views.md``, from the fits that ``few_views.py`` kept."""

# ruff: noqa: E501  (Markdown, as wide as the other pages)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from comparisons import Row, machine_line, mean_and_range, table

ABOUT = """# Few views

Three photos leave most of a scene open, and a fit that is only asked to repeat them does so from anywhere but
beside them. Each of these parts closes some of it. All are off unless a recipe lists them (the default has dropout
for a dozen photos or fewer, and `NeedlePenalty` for up to four); all come from
`firstlight.fitting` (`Decaying` from `firstlight.density`).

| part | how it is switched on | after |
| --- | --- | --- |
| a share of the Gaussians left out of each step | `dropout=0.2` | DropGaussian |
| depth held to known depth by correlation, over the picture and over boxes | `DepthCorrelation()` | LM-Gaussian |
| needles cost something | `NeedlePenalty()` | PhysGaussian |
| depth held to known depth, all the time or fading | `DepthTeacher()` | DRGS; Does 3DGS need SfM? |
| depth held to known depth, and smooth away from edges | `DepthRegularisation()` | DRGS |
| the end of the fit where depth gets worse | `stop=DepthStop()` | DRGS |
| views between the photos look like the untouched dense start | `StartGuidance()` | LM-Gaussian |
| normals of depth held to those of known depth | `NormalTeacher()` | LM-Gaussian |
| normals of Gaussians held to those of their depth | `DepthNormals()` | 2DGS |
| a camera beside the photo's, warped back by depth | `Binocular()` | Binocular-guided 3DGS |
| a turned camera, to which the photo is warped | `WarpedViews()` | SGPose |
| photos blurred at first | `mollification=Mollification()` | data mollification |
| opacity fades in whatever a step sees | `density=Decaying(Mcmc())` | Binocular-guided 3DGS |
| a twin; views between the photos agree; what has no counterpart goes | `co_training=CoTraining()`, `Accord()` | CoR-GS |
| views between the photos repaired by diffusion | `RepairedViews()`, `--repair NAME` | LM-Gaussian |

Losses go into `Recipe.losses`; what is known of depth comes from `Recipe.geometry`. The recipes `depth-reg` and
`lm-gaussian` are the papers' own mixtures as far as they are built: `firstlight recipes` says what is missing.

## What a photo could not know

Where photos were held out, `run.json` says which share of their pixels shows surfaces that one of the twelve
nearest training photos shows too (`seen`), and gives PSNR, SSIM and FLIP over these alone (`psnr_seen` …) beside
those over all. In the report the rest is dark. It is judged by the depth of the finished scene, so where that is
wrong, the shade is wrong too.

## Repair by diffusion

`pip install 'firstlight[repair]'`, then `--repair stable-diffusion-1.5` (CreativeML OpenRAIL-M: its licence
forbids certain uses) or a folder with an image-to-image model that diffusers saved. From two fifths of the fit on,
eight views between the photos are rendered, repaired and learned from a little, most where no photo stands near;
again each fifth. This path is tested with a tiny model that is trained in the test and loaded like a real one. **It
has never run with real weights**, and on a CPU one picture takes minutes. Unlike in LM-Gaussian, the model is not
fine-tuned on the scene (no LoRA), no ControlNet holds it to the render, and no video model smooths the path."""

MEASURED = """## Measured

Written by `benchmarks/few_views.py` from fits that it made; not edited by hand. Photos, cameras, held-out photos,
points, stereo's depth and seeds are the same for all; PSNR is over every 8th photo by name, held out of training.
Cells are means over seeds (least … greatest). *Gain* is over the same recipe without the part, *over 3DGS* over
plain 3DGS (its rates, its growth, no part) from the same start in as many steps, both over pairs of one set and one
seed: mean (least … greatest). Where that range holds 0, nothing is shown. 3DGS's rates are made for 30,000 steps:
`3dgs-short-rates` is the same at those of the default for many photos, so that the part of the gain which is nothing
but rates can be told. What a part is stands in `benchmarks/few_views.py`.

- *default*: what `firstlight fit` uses for so many photos, and parts added to that.
- *dense*: stereo's cloud, 12,000 Gaussians, no growth, MCMC's penalties, rates of short fits.
- *sparse*: the set's points, MCMC to 10,000, rates of short fits."""

PLAIN, PAPER = "plain", "3dgs"


@dataclass(frozen=True)
class Effort:
    """What all fits of one table have in common."""

    views: int
    start: str
    max_size: int
    steps: int

    @classmethod
    def of(cls, row: Mapping[str, object]) -> Effort:
        return cls(*(row[name] for name in ("views", "start", "max_size", "steps")))  # type: ignore[arg-type]


def page(rows: Sequence[Row], starts: Sequence[str], arms: Sequence[str], note: str) -> str:
    """The whole page; ``starts`` and ``arms`` say in which order."""
    lines = [ABOUT, "", MEASURED, ""]
    lines += [machine_line(rows[-1]) if rows else "Nothing was measured yet."]
    lines += ["", note] if note else []
    efforts = {Effort.of(row) for row in rows}
    for views in sorted({effort.views for effort in efforts}):
        lines += ["", f"### {views} training photos"]
        mine = (effort for effort in efforts if effort.views == views)
        for effort in sorted(mine, key=lambda e: (starts.index(e.start), e.max_size, e.steps)):
            found = [row for row in rows if Effort.of(row) == effort]
            lines += ["", f"*{effort.start}*, {effort.max_size} pixels, {effort.steps:,} steps:", ""]
            lines += [*_table(found, arms), *_verdict(found, effort)]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row], arms: Sequence[str]) -> list[str]:
    sets = sorted({row["set"] for row in rows})
    lines = []
    for arm in arms:
        mine = [row for row in rows if row["arm"] == arm]
        if not mine:
            continue
        by_set = ([row["psnr"] for row in mine if row["set"] == name] for name in sets)
        cells = (mean_and_range(values) if values else "–" for values in by_set)
        seeds = len({row["seed"] for row in mine})
        gained = (_words(gains(rows, arm, other)) for other in (PLAIN, PAPER))
        ssim = f"{fmean(row['ssim'] for row in mine):.3f}"
        lines.append((arm, str(seeds), *cells, ssim, *gained))
    return table(("part", "seeds", *sets, "SSIM", "gain", "over 3DGS"), lines)


def gains(rows: Sequence[Row], arm: str, other: str) -> list[float]:
    """dB that ``arm`` is ahead of ``other``, over pairs of one set and one seed; none against itself."""
    by = {(row["arm"], row["set"], row["seed"]): row["psnr"] for row in rows}
    if arm == other:
        return []
    return [
        psnr - by[other, *pair] for (name, *pair), psnr in by.items() if name == arm and (other, *pair) in by
    ]


def _words(values: Sequence[float]) -> str:
    return mean_and_range(values, sign="+") if values else "–"


def _verdict(rows: Sequence[Row], effort: Effort) -> list[str]:
    """What the default gains."""
    found = gains(rows, PLAIN, PAPER) if effort.start == "default" else []
    if not found:
        return []
    sets = len({row["set"] for row in rows})
    return [
        "",
        f"The default for {effort.views} photos is {_words(found)} dB ahead of plain 3DGS from its own start: "
        f"pairs of {sets} {'set' if sets == 1 else 'sets'} and seeds, {len(found)} in all.",
    ]
