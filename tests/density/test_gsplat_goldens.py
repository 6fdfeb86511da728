"""gsplat's own strategy code, run once on random histories: ours ends in the same place."""

from __future__ import annotations

import torch

from firstlight.density.gsplat import DefaultStrategy, ops
from tests.density.gsplat_params import notes
from tests.goldens import read_goldens

NAMES = ("means", "scales", "quats", "opacities", "sh0")


def test_default_strategy_lives_the_life_that_gsplats_does() -> None:
    golden = read_goldens("density", "default_strategy")
    params = {name: torch.nn.Parameter(golden[f"before_{name}"]) for name in NAMES}
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam([param], lr=1e-3) for name, param in params.items()
    }
    strategy = DefaultStrategy(
        refine_start_iter=0, refine_every=2, reset_every=3, grow_grad2d=1.0, refine_scale2d_stop_iter=7,
        revised_opacity=True,
    )  # fmt: skip
    state = strategy.initialize_state(scene_scale=1.3)
    counts = []
    for step in range(1, 7):
        for name, optimizer in optimizers.items():
            params[name].grad = golden[f"slope_{step}_{name}"]
            optimizer.step()
            optimizer.zero_grad()
        info = notes(golden[f"gradient_{step}"], golden[f"radii_{step}"], width=64, height=48)
        torch.manual_seed(100 + step)
        strategy.step_post_backward(params, optimizers, state, step, info)
        counts.append(len(params["means"]))
    assert len(set(counts)) > 2  # it grew and shrank
    for name in NAMES:
        torch.testing.assert_close(params[name].detach(), golden[f"after_{name}"])
        moments = optimizers[name].state[params[name]]["exp_avg"]
        torch.testing.assert_close(moments, golden[f"exp_avg_{name}"])
    for key in ("grad2d", "count", "radii"):
        torch.testing.assert_close(state[key], golden[f"state_{key}"])


def test_noise_is_the_same_from_the_same_seed() -> None:
    golden = read_goldens("density", "noise")
    moved = golden.pop("moved")
    params = {name: torch.nn.Parameter(value) for name, value in golden.items()}
    before = params["means"].detach().clone()
    torch.manual_seed(7)
    ops.inject_noise_to_position(params, {}, {}, scaler=0.3)
    torch.testing.assert_close(params["means"].detach(), moved, rtol=1e-4, atol=1e-6)
    assert (moved - before).abs().max() > 0.1
