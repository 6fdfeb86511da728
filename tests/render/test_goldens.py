"""The rasteriser's operations and their twins against tensors that gsplat's own torch functions computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight import render
from firstlight.render import twins
from tests.goldens import read_goldens

WIDTH, HEIGHT = 26, 18
CAMERAS = ("pinhole", "ortho", "fisheye")


def leaves(golden: dict[str, Tensor], names: tuple[str, ...], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: golden[name].to(dtype).requires_grad_() for name in names}


def assert_near(found: Tensor, wanted: Tensor, tolerance: float) -> None:
    """Equal to ``tolerance`` of the largest value."""
    assert found.shape == wanted.shape
    scale = float(wanted.abs().max().clamp(min=1e-3))
    assert float((found.detach() - wanted).abs().max()) < tolerance * scale


def check(
    golden: dict[str, Tensor], inputs: dict[str, Tensor], outputs: dict[str, Tensor], tolerance: float = 1e-4
) -> None:
    """Outputs where they count, and the gradients of inputs under gsplat's cotangents."""
    for name, output in outputs.items():
        seen = golden[f"v_{name}"] != 0
        assert_near(torch.where(seen, output, 0), torch.where(seen, golden[name], 0), tolerance)
    cotangents = [golden[f"v_{name}"].to(output.dtype) for name, output in outputs.items()]
    torch.autograd.backward(list(outputs.values()), cotangents)
    for name, leaf in inputs.items():
        if f"grad_{name}" in golden:
            assert leaf.grad is not None, name
            assert_near(leaf.grad, golden[f"grad_{name}"], 10 * tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_covariances(dtype: torch.dtype) -> None:
    golden = read_goldens("render", "covariances")
    inputs = leaves(golden, ("quats", "scales"), dtype)
    outputs: dict[str, Tensor] = {}
    for ending, triu in (("", False), ("_triu", True)):
        covars, precis = render.quat_scale_to_covar_preci(inputs["quats"], inputs["scales"], triu=triu)
        assert covars is not None
        assert precis is not None
        outputs |= {f"covars{ending}": covars, f"precis{ending}": precis}
    check(golden, inputs, outputs)


@pytest.mark.parametrize("model", CAMERAS)
@pytest.mark.parametrize("twin", [False, True])
def test_projection(model: Any, twin: bool) -> None:
    golden = read_goldens("render", f"projection_{model}")
    dtype = torch.float64 if twin else torch.float32
    inputs = leaves(golden, ("means", "quats", "scales", "viewmats"), dtype)
    Ks = golden["Ks"].to(dtype)
    shapes = (inputs["quats"], inputs["scales"], inputs["viewmats"], Ks, WIDTH, HEIGHT)
    if twin:
        values = twins.fully_fused_projection(inputs["means"], *shapes, camera_model=model)
    else:
        values = render.fully_fused_projection(
            inputs["means"], None, *shapes, calc_compensations=True, camera_model=model
        )
    # Where rounding decides, an extent may be a pixel wider; what is seen is the same.
    assert ((values[0] > 0).all(-1) == (golden["radii"] > 0).all(-1)).all()
    assert (values[0] - golden["radii"]).abs().max() <= 1
    assert (golden["radii"] > 0).all(-1).double().mean() > 0.4
    check(
        golden, inputs, dict(zip(("means2d", "depths", "conics", "compensations"), values[1:], strict=True))
    )


@pytest.mark.parametrize("twin", [False, True])
def test_surfels(twin: bool) -> None:
    """gsplat's torch function, unlike its kernels, makes normals as long as the third scale."""
    golden = read_goldens("render", "surfels")
    thickness = golden["scales"][:, 2:]
    golden["normals"] = golden["normals"] / thickness
    golden["v_normals"] = golden["v_normals"] * thickness
    golden["grad_scales"][:, 2] = 0
    inputs = leaves(
        golden, ("means", "quats", "scales", "viewmats"), torch.float64 if twin else torch.float32
    )
    room: Any = twins if twin else render
    Ks = golden["Ks"].to(inputs["means"].dtype)
    values = room.fully_fused_projection_2dgs(*inputs.values(), Ks, WIDTH, HEIGHT)
    assert ((values[0] > 0).all(-1) == (golden["radii"] > 0).all(-1)).all()
    assert (values[0] - golden["radii"]).abs().max() <= 1
    assert (golden["radii"] > 0).all(-1).double().mean() > 0.4
    names = ("means2d", "depths", "ray_transforms", "normals")
    check(golden, inputs, dict(zip(names, values[1:], strict=True)))


def test_tiles() -> None:
    golden = read_goldens("render", "tiles")
    size = int(golden["tile_size"])
    tile_width, tile_height = -(-WIDTH // size), -(-HEIGHT // size)
    inputs = (golden["means2d"], golden["radii"], golden["depths"], size, tile_width, tile_height)
    tiles_per_gauss, isect_ids, flatten_ids = render.isect_tiles(*inputs)
    assert torch.equal(tiles_per_gauss, golden["tiles_per_gauss"])
    assert torch.equal(isect_ids, golden["isect_ids"])
    assert torch.equal(flatten_ids, golden["flatten_ids"])
    offsets = render.isect_offset_encode(isect_ids, len(golden["depths"]), tile_width, tile_height)
    assert torch.equal(offsets, golden["offsets"])
    twin_ids, twin_offsets = twins.isect_tiles(*inputs)
    assert torch.equal(twin_ids, golden["flatten_ids"])
    assert torch.equal(twin_offsets, golden["offsets"])


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("twin", [False, True])
def test_harmonics(degree: int, twin: bool) -> None:
    golden = read_goldens("render", f"harmonics_{degree}")
    inputs = leaves(golden, ("dirs", "coeffs"), torch.float64 if twin else torch.float32)
    room: Any = twins if twin else render
    check(golden, inputs, {"colors": room.spherical_harmonics(degree, **inputs)}, tolerance=1e-5)


@pytest.mark.parametrize("twin", [False, True])
def test_blending(twin: bool) -> None:
    """All splats to all tiles, front to back: the golden met each pixel where alpha reaches 1/255."""
    golden = read_goldens("render", "blending")
    inputs = leaves(golden, ("means2d", "conics", "opacities", "colors"), torch.float32)
    images, count = golden["depths"].shape
    everywhere = torch.full((images, count, 2), 2 * WIDTH, dtype=torch.int32)
    tile_width, tile_height = -(-WIDTH // 16), -(-HEIGHT // 16)
    _, isect_ids, flatten_ids = render.isect_tiles(
        golden["means2d"], everywhere, golden["depths"], 16, tile_width, tile_height
    )
    offsets = render.isect_offset_encode(isect_ids, images, tile_width, tile_height)
    room: Any = twins if twin else render
    splats = (inputs["means2d"], inputs["conics"], inputs["colors"], inputs["opacities"])
    renders, alphas = room.rasterize_to_pixels(*splats, WIDTH, HEIGHT, 16, offsets, flatten_ids)
    # The kernels' exp is a series, 1.2e-3 of itself off where alpha is smallest.
    check(golden, inputs, {"renders": renders, "alphas": alphas}, tolerance=1e-5 if twin else 1e-3)


@pytest.mark.parametrize("way", ["kernels", "twin", "pairs"])
def test_surfel_blending(way: str) -> None:
    """As ``test_blending``; and gsplat's composition of the pairs that it was given."""
    golden = read_goldens("render", "surfel_blending")
    images, count = golden["depths"].shape
    everywhere = torch.full((images, count, 2), 2 * WIDTH, dtype=torch.int32)
    tile_width, tile_height = -(-WIDTH // 16), -(-HEIGHT // 16)
    _, isect_ids, flatten_ids = render.isect_tiles(
        golden["means2d"], everywhere, golden["depths"], 16, tile_width, tile_height
    )
    offsets = render.isect_offset_encode(isect_ids, images, tile_width, tile_height)
    names = ("means2d", "ray_transforms", "colors", "opacities", "normals")
    inputs = leaves(golden, names, torch.float32 if way == "kernels" else torch.float64)
    means2d, transforms, colors, opacities, normals = inputs.values()
    ids = [golden[key].long() for key in ("gaussian_ids", "pixel_ids", "image_ids")]
    lists = (WIDTH, HEIGHT, 16, offsets, flatten_ids)
    maps: Any
    ours, twin = vars(render), vars(twins)  # mypy cannot count tensors that are unpacked
    if way == "pairs":
        found = render.rasterize_to_indices_in_range_2dgs(
            0, int(1e10), torch.ones(images, HEIGHT, WIDTH), golden["means2d"], golden["ray_transforms"],
            golden["opacities"], *lists,
        )  # fmt: skip
        order = torch.argsort(ids[2] * WIDTH * HEIGHT + ids[1], stable=True)
        assert all(torch.equal(a, b[order]) for a, b in zip(found, ids, strict=True))
        maps = ours["accumulate_2dgs"](means2d, transforms, opacities, colors, normals, *ids, WIDTH, HEIGHT)
    elif way == "twin":
        maps = twin["rasterize_to_pixels_2dgs"](*inputs.values(), *lists)[:3]
    else:
        densify = torch.zeros(images, count, 2)
        maps = ours["rasterize_to_pixels_2dgs"](*inputs.values(), densify, *lists)[:3]
    outputs = dict(zip(("renders", "alphas", "render_normals"), maps, strict=True))
    check(golden, inputs, outputs, tolerance=1e-3 if way == "kernels" else 1e-5)


UNSCENTED = [
    *(("opencv", shutter.name) for shutter in render.RollingShutterType),
    *((name, "GLOBAL") for name in ("fisheye", "ftheta", "ftheta_inverse")),
]


def lens_of(golden: dict[str, Tensor], name: str) -> dict[str, Any]:
    """Arguments of gsplat's calls from a golden's coefficients."""
    own = {key.split("/")[1]: value for key, value in golden.items() if key.startswith(f"{name}/")}
    if not name.startswith("ftheta"):
        lens: dict[str, Any] = {key: value for key, value in own.items() if key.endswith("coeffs")}
        return lens if name == "opencv" else {**lens, "camera_model": name}
    kind = "PIXELDIST_TO_ANGLE" if name == "ftheta_inverse" else "ANGLE_TO_PIXELDIST"
    forward, backward, linear = (
        tuple(own[key].tolist())
        for key in ("angle_to_pixeldist_poly", "pixeldist_to_angle_poly", "linear_cde")
    )
    reference = render.FThetaPolynomialType[kind]
    coefficients = render.FThetaCameraDistortionParameters(reference, backward, forward, 1.4, linear)
    return {"camera_model": "ftheta", "ftheta_coeffs": coefficients}


@pytest.mark.parametrize(("lens", "shutter"), UNSCENTED)
def test_unscented_projection(lens: str, shutter: str) -> None:
    """To the thousandths of a pixel that gsplat's float32 leaves of its weights."""
    golden = read_goldens("render", "unscented")
    options = lens_of(golden, lens) | {"rolling_shutter": render.RollingShutterType[shutter]}
    if shutter != "GLOBAL":
        options["viewmats_rs"] = golden["viewmats_rs"]
    inputs = (golden[key] for key in ("means", "quats", "scales", "opacities", "viewmats", "Ks"))
    project: Any = render.fully_fused_projection_with_ut
    found = project(*inputs, 14, 10, calc_compensations=True, **options)
    names = ("radii", "means2d", "depths", "conics", "compensations")
    wanted = {name: golden[f"{lens}/{shutter}/{name}"] for name in names}
    seen = (wanted["radii"] > 0).all(-1)
    assert seen.sum() >= 8
    assert torch.equal(found[0], torch.where(seen[..., None], wanted["radii"], 0))
    for name, ours in zip(names[1:], found[1:], strict=True):
        assert_near(ours[seen], wanted[name][seen], 2e-3)


@pytest.mark.parametrize(("lens", "shutter"), UNSCENTED)
def test_blending_in_space(lens: str, shutter: str) -> None:
    golden = read_goldens("render", "unscented")
    options = lens_of(golden, lens) | {"rolling_shutter": render.RollingShutterType[shutter]}
    if shutter != "GLOBAL":
        options["viewmats_rs"] = golden["viewmats_rs"]
    depths = (golden["means"] @ golden["viewmats"][0, :3, :3].T)[:, 2]
    everywhere = depths.argsort(stable=True).to(torch.int32)
    rasterize: Any = render.rasterize_to_pixels_eval3d
    picture, alphas = rasterize(
        golden["means"], golden["quats"], golden["scales"], golden["colors"][None], golden["opacities"][None],
        golden["viewmats"], golden["Ks"], 14, 10, 16, torch.zeros(1, 1, 1, dtype=torch.int32), everywhere,
        **options,
    )  # fmt: skip
    rays, wanted = golden[f"{lens}/{shutter}/rays"], golden[f"{lens}/{shutter}/picture"]
    assert rays[..., 6].all()
    assert wanted.max() > 0.5
    # The kernels' exponential falls short by up to 1.2e-3 of itself.
    assert_near(torch.cat([picture[0], alphas[0]], -1), wanted, 3e-3)
