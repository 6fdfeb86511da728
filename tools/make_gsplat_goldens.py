"""Make the golden tensors that tests hold the rasteriser and the strategies to, with gsplat's own functions.

Development only. Needs gsplat 1.5.3's Python code, which its wheel without compiled parts brings; no CUDA:

    pip download gsplat==1.5.3 --no-deps --dest /tmp/gsplat && unzip /tmp/gsplat/*.whl -d /tmp/gsplat
    PYTHONPATH=/tmp/gsplat python tools/make_gsplat_goldens.py

writes tests/render/goldens/*.npz and tests/density/goldens/*.npz: inputs, what gsplat's plain-torch reference
functions make of them in float64 (tiles in float32), and for gradients the cotangents, stored as float32.

gsplat's `accumulate` blends with two functions of nerfacc, which needs CUDA as well; a few lines below stand
for them. Which splats meet which pixels, gsplat finds with a CUDA kernel; here it is every splat whose alpha
reaches 1/255, front to back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

TESTS = Path(__file__).resolve().parent.parent / "tests"
CAMERAS = ("pinhole", "ortho", "fisheye")
WIDTH, HEIGHT = 26, 18


def stand_in_for_nerfacc() -> ModuleType:
    """Weights and sums along rays whose samples follow each other."""
    nerfacc: Any = ModuleType("nerfacc")

    def render_weight_from_alpha(alphas: Tensor, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
        through = [torch.ones((), dtype=alphas.dtype)] * n_rays
        before = []
        for alpha, ray in zip(alphas, ray_indices.tolist(), strict=True):
            before.append(through[ray])
            through[ray] = through[ray] * (1 - alpha)
        trans = torch.stack(before)
        return alphas * trans, trans

    def accumulate_along_rays(
        weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int
    ) -> Tensor:
        terms = weights[:, None] if values is None else weights[:, None] * values
        return torch.zeros(n_rays, terms.shape[1], dtype=terms.dtype).index_add(0, ray_indices, terms)

    nerfacc.render_weight_from_alpha = render_weight_from_alpha
    nerfacc.accumulate_along_rays = accumulate_along_rays
    return nerfacc  # type: ignore[no-any-return]


def save(room: str, name: str, tensors: dict[str, Tensor]) -> None:
    folder = TESTS / room / "goldens"
    folder.mkdir(exist_ok=True)
    arrays: dict[str, Any] = {
        key: value.detach().float().numpy() if value.is_floating_point() else value.numpy()
        for key, value in tensors.items()
    }
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    print(f"{room}/goldens/{name}.npz: {(folder / f'{name}.npz').stat().st_size} bytes")


def rounded(tensor: Tensor) -> Tensor:
    """The float64 of what float32 can hold: what is stored is then what was computed with."""
    return tensor.float().double()


def with_gradients(
    inputs: dict[str, Tensor], function: Callable[..., dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Inputs, outputs, a random cotangent `v_OUTPUT` for each float output, and `grad_INPUT`s."""
    leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
    outputs = function(**leaves)
    floats = {key: value for key, value in outputs.items() if value.requires_grad}
    cotangents = {key: rounded(torch.randn_like(value)) for key, value in floats.items()}
    for value in cotangents.values():  # what is not seen has no gradient
        if "radii" in outputs:
            seen = (outputs["radii"] > 0).all(-1)
            value *= seen.reshape(seen.shape + (1,) * (value.dim() - seen.dim()))
    torch.autograd.backward(list(floats.values()), list(cotangents.values()))
    gradients = {f"grad_{key}": leaf.grad for key, leaf in leaves.items() if leaf.grad is not None}
    return inputs | outputs | {f"v_{key}": v for key, v in cotangents.items()} | gradients


def splats(count: int, cameras: int) -> dict[str, Tensor]:
    """Around the origin, seen from 4 units away; some behind the cameras, outside, needles and giants."""
    viewmats = torch.eye(4).repeat(cameras, 1, 1)
    for camera in range(cameras):
        viewmats[camera, :3, :3] = torch.matrix_exp(torch.linalg.cross(torch.eye(3), 0.2 * torch.randn(1, 3)))
        viewmats[camera, :3, 3] = torch.tensor([0.0, 0.0, 4.0]) + 0.2 * torch.randn(3)
    means = torch.randn(count, 3)
    means[0] = torch.tensor([0.0, 0.0, -6.0])
    means[1] = torch.tensor([9.0, 0.0, 0.0])
    scales = (0.5 * torch.randn(count, 3) - 2).exp()
    scales[2] = torch.tensor([0.8, 0.002, 0.002])
    scales[3] = 1.5
    return {
        "means": rounded(means),
        "quats": rounded(torch.randn(count, 4)),
        "scales": rounded(scales),
        "viewmats": rounded(viewmats),
    }


def intrinsics(cameras: int, ortho: bool = False) -> Tensor:
    focal = 6.0 if ortho else 1.1 * WIDTH
    K = torch.tensor([[focal, 0, 0.48 * WIDTH], [0, 1.1 * focal, 0.55 * HEIGHT], [0, 0, 1]])
    return rounded(K).repeat(cameras, 1, 1)


def covariances(torch_impl: Any) -> None:
    inputs = {"quats": rounded(torch.randn(9, 4)), "scales": rounded(torch.rand(9, 3) + 0.1)}

    def function(quats: Tensor, scales: Tensor) -> dict[str, Tensor]:
        covars, precis = torch_impl._quat_scale_to_covar_preci(quats, scales)
        upper = torch_impl._quat_scale_to_covar_preci(quats, scales, triu=True)
        return {"covars": covars, "precis": precis, "covars_triu": upper[0], "precis_triu": upper[1]}

    save("render", "covariances", with_gradients(inputs, function))


def projections(torch_impl: Any) -> None:
    for model in CAMERAS:
        inputs = splats(18, 2)
        Ks = intrinsics(2, model == "ortho")

        def function(
            means: Tensor,
            quats: Tensor,
            scales: Tensor,
            viewmats: Tensor,
            model: str = model,
            Ks: Tensor = Ks,
        ) -> dict[str, Tensor]:
            covars, _ = torch_impl._quat_scale_to_covar_preci(quats, scales, compute_preci=False)
            names = ("radii", "means2d", "depths", "conics", "compensations")
            values = torch_impl._fully_fused_projection(
                means, covars, viewmats, Ks, WIDTH, HEIGHT, calc_compensations=True, camera_model=model
            )
            return dict(zip(names, values, strict=True))

        save("render", f"projection_{model}", with_gradients(inputs, function) | {"Ks": Ks})


def surfels(torch_impl_2dgs: Any) -> None:
    inputs, Ks = splats(18, 2), intrinsics(2)

    def function(means: Tensor, quats: Tensor, scales: Tensor, viewmats: Tensor) -> dict[str, Tensor]:
        names = ("radii", "means2d", "depths", "ray_transforms", "normals")
        values = torch_impl_2dgs._fully_fused_projection_2dgs(
            means, quats, scales, viewmats, Ks, WIDTH, HEIGHT
        )
        return dict(zip(names, values, strict=True))

    save("render", "surfels", with_gradients(inputs, function) | {"Ks": Ks})


def tiles(torch_impl: Any) -> None:
    images, count, tile_size = 3, 15, 4
    tile_width, tile_height = -(-WIDTH // tile_size), -(-HEIGHT // tile_size)
    means2d = torch.rand(images, count, 2) * torch.tensor([WIDTH + 20, HEIGHT + 20]) - 10
    radii = torch.randint(0, 12, (images, count, 2), dtype=torch.int32)
    radii[(radii == 0).any(-1)] = 0
    depths = torch.rand(images, count) * 5 + 0.1
    tiles_per_gauss, isect_ids, flatten_ids = torch_impl._isect_tiles(
        means2d, radii, depths, tile_size, tile_width, tile_height
    )
    offsets = torch_impl._isect_offset_encode(isect_ids, images, tile_width, tile_height)
    save(
        "render",
        "tiles",
        {
            "means2d": means2d,
            "radii": radii,
            "depths": depths,
            "tiles_per_gauss": tiles_per_gauss,
            "isect_ids": isect_ids,
            "flatten_ids": flatten_ids,
            "offsets": offsets,
            "tile_size": torch.tensor(tile_size),
        },
    )


def harmonics(torch_impl: Any) -> None:
    inputs = {"dirs": rounded(torch.randn(5, 3)), "coeffs": rounded(torch.randn(5, 25, 3))}
    for degree in range(5):

        def function(dirs: Tensor, coeffs: Tensor, degree: int = degree) -> dict[str, Tensor]:
            return {"colors": torch_impl._spherical_harmonics(degree, dirs, coeffs)}

        save("render", f"harmonics_{degree}", with_gradients(inputs, function))


def meetings(alphas: Tensor, depths: Tensor) -> dict[str, Tensor]:
    """Ids of what meets: alphas [C, N, H * W]; splats front to back, pixel after pixel."""
    triples = []
    for image in range(len(alphas)):
        front_to_back = torch.argsort(depths[image]).tolist()
        for pixel in range(alphas.shape[2]):
            triples += [(g, pixel, image) for g in front_to_back if alphas[image, g, pixel] >= 1 / 255]
    gaussian_ids, pixel_ids, image_ids = torch.tensor(triples).T
    return {"gaussian_ids": gaussian_ids, "pixel_ids": pixel_ids, "image_ids": image_ids}


def pixel_centers() -> Tensor:
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2).double() + 0.5


def blending(torch_impl: Any) -> None:
    images, count = 2, 7
    root = torch.randn(images, count, 2, 2)
    conics = torch.linalg.inv(6 * root @ root.mT + 2 * torch.eye(2))
    inputs = {
        "means2d": rounded(torch.rand(images, count, 2) * torch.tensor([WIDTH, HEIGHT])),
        "conics": rounded(torch.stack([conics[..., 0, 0], conics[..., 0, 1], conics[..., 1, 1]], -1)),
        "opacities": rounded(torch.rand(images, count) * 0.75 + 0.1),
        "colors": rounded(torch.randn(images, count, 4)),
    }
    depths = rounded(torch.rand(images, count) + 1)
    d = pixel_centers() - inputs["means2d"][:, :, None]
    a, b, c = (one[..., None] for one in inputs["conics"].unbind(-1))
    power = 0.5 * (a * d[..., 0] ** 2 + c * d[..., 1] ** 2) + b * d[..., 0] * d[..., 1]
    ids = meetings(inputs["opacities"][..., None] * torch.exp(-power), depths)

    def function(means2d: Tensor, conics: Tensor, opacities: Tensor, colors: Tensor) -> dict[str, Tensor]:
        renders, alphas = torch_impl.accumulate(
            means2d, conics, opacities, colors, *ids.values(), WIDTH, HEIGHT
        )
        return {"renders": renders, "alphas": alphas}

    tensors = with_gradients(inputs, function)
    assert tensors["alphas"].max() < 1 - 1e-3  # nothing is left out for want of light
    save(
        "render",
        "blending",
        tensors | {key: value.short() for key, value in ids.items()} | {"depths": depths},
    )


def surfel_blending(torch_impl_2dgs: Any) -> None:
    inputs, Ks = splats(9, 2), intrinsics(2)
    inputs["means"][:4] = rounded(0.7 * torch.randn(4, 3))
    inputs["scales"][:4] = 0.3
    radii, means2d, depths, transforms, normals = torch_impl_2dgs._fully_fused_projection_2dgs(
        **inputs, Ks=Ks, width=WIDTH, height=HEIGHT
    )
    keep = (radii > 0).all(-1).all(0)  # seen by both
    surfel = {
        "means2d": rounded(means2d[:, keep]),
        "ray_transforms": rounded(transforms[:, keep]),
        "opacities": rounded(torch.rand(2, int(keep.sum())) * 0.6 + 0.1),
        "colors": rounded(torch.randn(2, int(keep.sum()), 3)),
        "normals": rounded(normals[:, keep]),
    }
    depths = rounded(depths[:, keep])
    pixels = pixel_centers()
    M = surfel["ray_transforms"][:, :, None]
    u = -M[..., 0, :] + M[..., 2, :] * pixels[:, :1]
    v = -M[..., 1, :] + M[..., 2, :] * pixels[:, 1:]
    hit = torch.linalg.cross(u, v)
    near = (hit[..., :2] / hit[..., 2:]).square().sum(-1)
    flat = 2 * (pixels - surfel["means2d"][:, :, None]).square().sum(-1)
    ids = meetings(surfel["opacities"][..., None] * torch.exp(-0.5 * torch.minimum(near, flat)), depths)

    def function(
        means2d: Tensor, ray_transforms: Tensor, opacities: Tensor, colors: Tensor, normals: Tensor
    ) -> dict[str, Tensor]:
        renders, alphas, render_normals = torch_impl_2dgs.accumulate_2dgs(
            means2d, ray_transforms, opacities, colors, normals, *ids.values(), WIDTH, HEIGHT
        )
        return {"renders": renders, "alphas": alphas, "render_normals": render_normals}

    tensors = with_gradients(surfel, function)
    assert tensors["alphas"].max() < 1 - 1e-3
    more = {key: value.short() for key, value in ids.items()} | {"depths": depths, "radii": radii[:, keep]}
    save("render", "surfel_blending", tensors | more)


def default_strategy() -> None:
    """A short life under gsplat's own strategy: parameters and Adam's moments before and after."""
    from gsplat.strategy import DefaultStrategy, ops

    count, images, width, height = 24, 2, 64, 48
    values = {
        "means": torch.randn(count, 3),
        "scales": 0.8 * torch.randn(count, 3) - 5,
        "quats": torch.randn(count, 4),
        "opacities": 2 * torch.randn(count) - 1,
        "sh0": torch.randn(count, 1, 3),
    }
    params = {name: torch.nn.Parameter(value.clone()) for name, value in values.items()}
    optimizers = {name: torch.optim.Adam([param], lr=1e-3) for name, param in params.items()}
    strategy = DefaultStrategy(
        refine_start_iter=0, refine_every=2, reset_every=3, grow_grad2d=1.0, refine_scale2d_stop_iter=7,
        revised_opacity=True,
    )  # fmt: skip
    state = strategy.initialize_state(scene_scale=1.3)
    stored: dict[str, Tensor] = {f"before_{name}": value for name, value in values.items()}
    for step in range(1, 7):  # what is huge goes from step 4 on
        n = len(params["means"])
        gradient = 0.02 * torch.randn(images, n, 2)
        radii = torch.randint(-2, 12, (images, n, 2)).clamp(min=0).int()
        # gsplat keeps any one of two images' radii; equal ones leave no choice.
        radii[1] = torch.where((radii[0] > 0).all(-1, keepdim=True), radii[0], radii[1])
        stored |= {f"gradient_{step}": gradient, f"radii_{step}": radii}
        for name, param in params.items():
            slope = torch.randn_like(param)
            stored[f"slope_{step}_{name}"] = slope
            param.grad = slope.clone()
            optimizers[name].step()
            optimizers[name].zero_grad()
        means2d = torch.zeros_like(gradient).requires_grad_()
        means2d.grad = gradient
        info = {
            "means2d": means2d, "radii": radii, "width": width, "height": height, "n_cameras": images,
            "gaussian_ids": None,
        }  # fmt: skip
        torch.manual_seed(100 + step)
        strategy.step_post_backward(params, optimizers, state, step, info)
        if step % strategy.reset_every == 0:  # what 1.5.3 means to do and, by a slip, never does
            ops.reset_opa(params, optimizers, state, value=2 * strategy.prune_opa)
    for name, param in params.items():
        stored |= {f"after_{name}": param, f"exp_avg_{name}": optimizers[name].state[param]["exp_avg"]}
    stored |= {f"state_{key}": state[key] for key in ("grad2d", "count", "radii")}
    save("density", "default_strategy", stored)


def noise() -> None:
    from gsplat.cuda import _torch_impl
    from gsplat.strategy import ops

    ops.quat_scale_to_covar_preci = _torch_impl._quat_scale_to_covar_preci  # its own needs CUDA
    params = {
        "means": torch.nn.Parameter(torch.randn(30, 3)),
        "scales": torch.nn.Parameter(torch.randn(30, 3) - 1),
        "quats": torch.nn.Parameter(torch.randn(30, 4)),
        "opacities": torch.nn.Parameter(torch.linspace(-9, -3, 30)),
    }
    before = {name: param.detach().clone() for name, param in params.items()}
    torch.manual_seed(7)
    ops.inject_noise_to_position(params, {}, {}, scaler=0.3)
    save("density", "noise", before | {"moved": params["means"]})


def main() -> None:
    sys.modules["nerfacc"] = stand_in_for_nerfacc()
    try:
        from gsplat.cuda import _torch_impl, _torch_impl_2dgs
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error}. This needs gsplat's Python code: see the top of {__file__}.") from error
    torch.manual_seed(153)
    covariances(_torch_impl)
    projections(_torch_impl)
    surfels(_torch_impl_2dgs)
    tiles(_torch_impl)
    harmonics(_torch_impl)
    blending(_torch_impl)
    surfel_blending(_torch_impl_2dgs)
    default_strategy()
    noise()


if __name__ == "__main__":
    main()
