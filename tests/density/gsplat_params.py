"""Parameters, optimisers and renderer's notes as a training loop written for gsplat has them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.scenes import random_gaussians


def made(
    count: int, seed: int = 0, column: bool = False, dictionary: type = dict
) -> tuple[Any, dict[str, torch.optim.Optimizer]]:
    """Parameters by gsplat's names, one more that is trained and one that is not, and an Adam each.

    With ``column``, opacities are [N, 1].
    """
    scene = random_gaussians(count, degree=1, seed=seed)
    tensors = {
        "means": scene.means,
        "scales": scene.log_scales,
        "quats": scene.quats,
        "opacities": scene.logit_opacities[:, None] if column else scene.logit_opacities,
        "sh0": scene.sh[:, :1],
        "shN": scene.sh[:, 1:],
        "features": torch.arange(count * 6.0).reshape(count, 2, 3),
    }
    params = dictionary({name: torch.nn.Parameter(value.clone()) for name, value in tensors.items()})
    params["labels"] = torch.nn.Parameter(torch.arange(float(count)), requires_grad=False)
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam([{"params": param, "lr": 1e-3, "name": name}])
        for name, param in params.items()
        if param.requires_grad
    }
    return params, optimizers


def stepped(count: int, seed: int = 0, **more: Any) -> tuple[Any, dict[str, torch.optim.Optimizer]]:
    """The same, with moments: row i of each parameter has exp_avg full of 0.1 (i + 1)."""
    params, optimizers = made(count, seed, **more)
    before = {name: param.detach().clone() for name, param in params.items()}
    for name, optimizer in optimizers.items():
        param = params[name]
        rows = torch.arange(1.0, count + 1).view(-1, *[1] * (param.dim() - 1))
        param.grad = rows.expand_as(param).clone()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(before[name])
    return params, optimizers


def moments(params: Any, optimizers: dict[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    """By name, the number of the row that each row's moments came from: 0 for none  # [N] each."""
    numbers = {}
    for name, optimizer in optimizers.items():
        assert optimizer.param_groups[0]["params"] == [params[name]]
        assert list(optimizer.state) == [params[name]]
        state = optimizer.state[params[name]]
        assert state["step"] == 1
        assert state["exp_avg"].shape == state["exp_avg_sq"].shape == params[name].shape
        first, second = state["exp_avg"].flatten(1 if params[name].dim() > 1 else 0), state["exp_avg_sq"]
        values = first if first.dim() == 1 else first[:, 0]
        number = (values * 10).round()
        second = second if second.dim() == 1 else second.flatten(1)[:, 0]
        torch.testing.assert_close(second, 1e-3 * number**2)
        numbers[name] = number
    return numbers


def notes(gradient: Tensor, radii: Tensor, width: int = 200, height: int = 100) -> dict[str, Any]:
    """What ``rasterization`` returns for pixel gradients [C, N, 2] and radii [C, N, 2]."""
    means2d = torch.zeros_like(gradient, requires_grad=True)
    means2d.grad = gradient
    means2d.absgrad = 3 * gradient.abs()  # type: ignore[attr-defined]
    return {
        "means2d": means2d,
        "radii": radii,
        "width": width,
        "height": height,
        "n_cameras": len(gradient),
        "gaussian_ids": None,
    }


def packed(info: dict[str, Any]) -> dict[str, Any]:
    """The same notes with only what is seen."""
    cameras, ids = (info["radii"] > 0).all(-1).nonzero(as_tuple=True)
    means2d = info["means2d"].detach()[cameras, ids].requires_grad_()
    means2d.grad = info["means2d"].grad[cameras, ids]
    means2d.absgrad = info["means2d"].absgrad[cameras, ids]
    return info | {"means2d": means2d, "radii": info["radii"][cameras, ids], "gaussian_ids": ids}
