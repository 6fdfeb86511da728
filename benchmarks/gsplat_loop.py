"""One fit two ways: firstlight's own loop, and a training loop as it is written for gsplat.

    python benchmarks/gsplat_loop.py [--seeds 0 1 2] [--steps 1000] [--max-size 160] [--json FILE]

`train_as_with_gsplat` is what users of gsplat write: parameters by name, a torch optimiser each, a strategy's
hooks around the backward pass. What it takes from gsplat elsewhere comes from firstlight here, in one import;
a second one stands for fused_ssim, which needs CUDA. Both ways get the same photos and exact cameras (the
built-in demo), the same first Gaussians, order of photos, learning rates, losses and steps, and the same
schedule of density control, counted in steps; PSNR is on the 8 pictures of the demo that belong to no
training photo.

firstlight's own Adam touches only what a photo sees and catches up with the rest later; torch's steps
everything, penalties on opacity and scale included. What else differs is every random draw of density
control. The difference between the two ways means something only beside the spread between seeds, so each
run is shown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from firstlight import DefaultStrategy, MCMCStrategy, rasterization  # the one line that said gsplat
from firstlight.capture import load_demo, load_demo_path
from firstlight.density import Mcmc, Vanilla
from firstlight.density.strategy import PAPER_STEPS
from firstlight.fitting import Fit, Recipe
from firstlight.losses import photometric, psnr
from firstlight.recipes import get_recipe
from firstlight.render import render_camera
from firstlight.scene import Capture, Gaussians
from firstlight.starts import RandomBox

WAYS = ("own", "gsplat_loop")
START = 5_000  # Gaussians
CAP = 20_000  # Gaussians of MCMC

# First step, interval and last step of density control, in steps and the same for both ways. gsplat's default
# strategy knows no highest count, so its growth ends early; neither way resets opacities in so short a fit
# (firstlight's resets never come closer together than 1,000 steps).
GROW, MOVE = (100, 100, 600), (50, 50, 850)


def train_as_with_gsplat(
    photos: list[Tensor],  # [H, W, 3] uint8
    viewmats: Tensor,  # [P, 4, 4]
    Ks: Tensor,  # [P, 3, 3]
    start: Gaussians,
    strategy: DefaultStrategy | MCMCStrategy,
    scene_scale: float,
    opacity_reg: float,
    scale_reg: float,
    order: list[int],
) -> Gaussians:
    max_steps = len(order)
    splats = torch.nn.ParameterDict(
        {
            "means": start.means,
            "scales": start.log_scales,
            "quats": start.quats,
            "opacities": start.logit_opacities,
            "sh0": start.sh[:, :1],
            "shN": start.sh[:, 1:],
        }
    )
    rates = {
        "means": 1.6e-4 * scene_scale,
        "scales": 5e-3,
        "quats": 1e-3,
        "opacities": 5e-2,
        "sh0": 2.5e-3,
        "shN": 2.5e-3 / 20,
    }
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam([{"params": splats[name], "lr": rate, "name": name}], eps=1e-15)
        for name, rate in rates.items()
    }
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizers["means"], gamma=0.01 ** (1 / max_steps))
    strategy.check_sanity(splats, optimizers)
    if isinstance(strategy, DefaultStrategy):
        strategy_state = strategy.initialize_state(scene_scale=scene_scale)
    else:
        strategy_state = strategy.initialize_state()

    for step, index in enumerate(order):
        pixels = photos[index]
        height, width = pixels.shape[:2]
        colors, _alphas, info = rasterization(
            means=splats["means"],
            quats=splats["quats"],
            scales=torch.exp(splats["scales"]),
            opacities=torch.sigmoid(splats["opacities"]),
            colors=torch.cat([splats["sh0"], splats["shN"]], 1),
            viewmats=viewmats[index][None],
            Ks=Ks[index][None],
            width=width,
            height=height,
            sh_degree=min(step // (max_steps // 30), 3),
            packed=False,
        )
        strategy.step_pre_backward(splats, optimizers, strategy_state, step, info)
        loss = photometric(colors[0], pixels, ssim_weight=0.2)
        if opacity_reg > 0.0:
            loss = loss + opacity_reg * torch.sigmoid(splats["opacities"]).mean()
        if scale_reg > 0.0:
            loss = loss + scale_reg * torch.exp(splats["scales"]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        scheduler.step()
        if isinstance(strategy, DefaultStrategy):
            strategy.step_post_backward(splats, optimizers, strategy_state, step, info, packed=False)
        else:
            lr = float(scheduler.get_last_lr()[0])
            strategy.step_post_backward(splats, optimizers, strategy_state, step, info, lr=lr)
    values = {name: param.detach() for name, param in splats.items()}
    sh = torch.cat([values["sh0"], values["shN"]], 1)
    return Gaussians(values["means"], values["quats"], values["scales"], values["opacities"], sh)


@dataclass(frozen=True)
class Pair:
    """A method of firstlight's, and gsplat's strategy with the same settings."""

    recipe: Recipe
    start: RandomBox
    strategy: Callable[[], DefaultStrategy | MCMCStrategy]
    penalty: float  # on mean opacity and mean scale


@dataclass(frozen=True)
class Run:
    seed: int
    psnr: float  # dB, held out
    gaussians: int
    seconds: float


def pairs(steps: int) -> dict[str, Pair]:
    def constant(step: int) -> int:  # our strategies are written for 30,000 steps and scale with the fit
        return round(step * PAPER_STEPS / steps)

    first, every, last = (constant(step) for step in GROW)
    vanilla = Vanilla(start=first, every=every, stop=last, reset_every=last)
    first, every, last = (constant(step) for step in MOVE)
    mcmc = Mcmc(max_gaussians=CAP, start=first, every=every, stop=last)
    return {
        "DefaultStrategy": Pair(
            replace(get_recipe("vanilla"), density=vanilla),
            RandomBox(START),
            lambda: DefaultStrategy(
                refine_start_iter=GROW[0], refine_every=GROW[1], refine_stop_iter=GROW[2], reset_every=GROW[2]
            ),
            penalty=0.0,
        ),
        "MCMCStrategy": Pair(
            replace(get_recipe("mcmc"), density=mcmc),
            RandomBox(START, opacity=0.5, scale=0.1),
            lambda: MCMCStrategy(
                cap_max=CAP, refine_start_iter=MOVE[0], refine_every=MOVE[1], refine_stop_iter=MOVE[2]
            ),
            penalty=0.01,
        ),
    }


def held_out_psnr(scene: Gaussians, held_out: Capture) -> float:
    assert held_out.cameras is not None
    values = []
    with torch.no_grad():
        for index, photo in enumerate(held_out.photos):
            picture, _, _ = render_camera(scene, held_out.cameras.select([index]))
            values.append(psnr(picture, torch.from_numpy(photo.decode().rgb)))
    return mean(values)


def own_loop(recipe: Recipe, capture: Capture, seed: int, order: Tensor) -> Gaussians:
    fit = Fit(capture, recipe, list(range(len(capture))), seed)
    fit.begin()
    fit.order = order  # instead of its own; it draws a new one only at the end of one
    while fit.done < recipe.steps:
        fit.step()
    return fit.model.gaussians.detach()


def compared(
    pair: Pair, capture: Capture, held_out: Capture, steps: int, seed: int, wanted: list[str]
) -> dict[str, Run]:
    """One run of each way from the same start."""
    cameras = capture.cameras
    assert cameras is not None
    start = pair.start(capture, torch.Generator().manual_seed(seed)).with_degree(3)
    recipe = replace(pair.recipe, start=lambda *_: start.clone(), steps=steps, exposure=False)
    photos = [torch.from_numpy(photo.decode().rgb) for photo in capture.photos]
    shuffled = torch.Generator().manual_seed(seed)
    rounds = [torch.randperm(len(photos), generator=shuffled) for _ in range(-(-steps // len(photos)))]
    order = torch.cat(rounds)[:steps]
    scale = cameras.extent

    def as_with_gsplat() -> Gaussians:
        strategy, weight = pair.strategy(), pair.penalty
        views = (photos, cameras.viewmats, cameras.Ks)
        torch.manual_seed(seed)
        return train_as_with_gsplat(*views, start.clone(), strategy, scale, weight, weight, order.tolist())

    ways: dict[str, Callable[[], Gaussians]] = {
        "own": lambda: own_loop(recipe, capture, seed, order),
        "gsplat_loop": as_with_gsplat,
    }
    runs = {}
    for way in wanted:
        train = ways[way]
        began = time.perf_counter()
        scene = train()
        seconds = round(time.perf_counter() - began, 1)
        quality = round(held_out_psnr(scene, held_out), 3)
        runs[way] = Run(seed, quality, len(scene), seconds)
        print(f"  {way}: {runs[way]}", flush=True)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--max-size", type=int, default=160)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--only", choices=("DefaultStrategy", "MCMCStrategy"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    capture = load_demo(with_cameras=True).resized(options.max_size)
    held_out = load_demo_path().resized(options.max_size)
    result = {}
    for name, pair in pairs(options.steps).items():
        if options.only not in (None, name):
            continue
        print(name)
        runs = [
            compared(pair, capture, held_out, options.steps, seed, options.ways) for seed in options.seeds
        ]
        means = {way: round(mean(run[way].psnr for run in runs), 3) for way in runs[0]}
        print(f"  mean PSNR: {means}")
        result[name] = {
            "psnr": means,
            "runs": [{way: asdict(run) for way, run in ways.items()} for ways in runs],
        }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
