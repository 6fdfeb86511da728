"""Calls with CUDA tensors go to gsplat unchanged: held with a stand-in, for want of a GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields, make_dataclass
from enum import Enum
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from firstlight import render
from firstlight.render._gsplat import cuda_by_gsplat

# What gsplat exports under the same name and is ours on the CPU. The rest is plain torch and needs no seam.
HOOKED = [
    "rasterization",
    "rasterization_2dgs",
    "fully_fused_projection",
    "fully_fused_projection_2dgs",
    "fully_fused_projection_with_ut",
    "isect_tiles",
    "isect_offset_encode",
    "rasterize_to_pixels",
    "rasterize_to_pixels_2dgs",
    "rasterize_to_pixels_eval3d",
    "rasterize_to_indices_in_range",
    "rasterize_to_indices_in_range_2dgs",
    "accumulate",
    "accumulate_2dgs",
    "spherical_harmonics",
]


class OnCuda(Tensor):
    """A tensor that says it is on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


def on_cuda(*shape: int) -> Tensor:
    return torch.zeros(*shape).as_subclass(OnCuda)


@pytest.fixture
def gsplat(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for gsplat whose functions return what they were called with."""
    module = ModuleType("gsplat")
    vars(module)["__version__"] = "1.5.3"

    def echo(name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: (name, args, kwargs)

    for name in (*HOOKED, "double"):
        setattr(module, name, echo(name))
    monkeypatch.setitem(sys.modules, "gsplat", module)
    return module


@cuda_by_gsplat
def double(x: Tensor, factor: float = 2.0, *, bias: Tensor | None = None) -> Tensor:
    """Twice."""
    return factor * x if bias is None else factor * x + bias


@pytest.mark.parametrize("name", HOOKED)
def test_every_op_with_kernels_hands_cuda_tensors_over(name: str, gsplat: ModuleType) -> None:
    first, second = on_cuda(3), torch.zeros(2)
    got: Any = getattr(render, name)(first, second, 7, packed=True, more=None)
    assert got[0] == name
    assert got[1][0] is first and got[1][1] is second and got[1][2] == 7
    assert got[2] == {"packed": True, "more": None}


def test_cpu_tensors_stay_here(gsplat: ModuleType) -> None:
    assert double(torch.ones(2)).tolist() == [2, 2]
    assert double(torch.ones(2), 3.0, bias=torch.ones(2)).tolist() == [4, 4]


def test_numbers_may_be_tensors_without_dimensions(gsplat: ModuleType) -> None:
    """A width read from a tensor, say."""
    loose: Any = double
    assert loose(torch.ones(2), torch.tensor(3.0)).tolist() == [3, 3]
    assert isinstance(loose(on_cuda(2), torch.tensor(3.0))[1][1], Tensor)
    splats = torch.zeros(1, 3), torch.ones(1, 4), torch.ones(1, 3), torch.ones(1), torch.ones(1, 3)
    viewmats, K = torch.eye(4)[None], torch.tensor([[[9.0, 0, 4], [0, 9, 3], [0, 0, 1]]])
    viewmats[0, 2, 3] = 4.0
    sizes: Any = {"width": torch.tensor(8), "height": torch.tensor(6), "tile_size": torch.tensor(16)}
    found, _, _ = render.rasterization(*splats, viewmats, K, **sizes)
    assert torch.equal(found, render.rasterization(*splats, viewmats, K, 8, 6)[0])


def test_one_cuda_tensor_is_enough_wherever_it_stands(gsplat: ModuleType) -> None:
    bias = on_cuda(2)
    got: Any = double(torch.ones(2), bias=bias)
    assert got[0] == "double"
    assert got[2]["bias"] is bias


def test_defaults_are_left_to_gsplat(gsplat: ModuleType) -> None:
    got: Any = double(on_cuda(2))
    assert len(got[1]) == 1
    assert got[2] == {}


def test_shutters_and_lenses_become_gsplats(gsplat: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own types, which its CUDA side knows, and not ours of the same names."""
    wrapper = ModuleType("gsplat.cuda._wrapper")
    for name in ("RollingShutterType", "FThetaPolynomialType"):
        members = [(member.name, member.value) for member in getattr(render, name)]
        setattr(wrapper, name, Enum(name, members))
    for name in ("FThetaCameraDistortionParameters", "UnscentedTransformParameters"):
        names = [field.name for field in fields(getattr(render, name))]
        setattr(wrapper, name, make_dataclass(name, names))
    monkeypatch.setitem(sys.modules, "gsplat.cuda", ModuleType("gsplat.cuda"))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._wrapper", wrapper)
    ours = render.FThetaCameraDistortionParameters(
        render.FThetaPolynomialType.ANGLE_TO_PIXELDIST, (0, 1, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0), 1.0, (1, 0, 0)
    )
    shutter = render.RollingShutterType.ROLLING_LEFT_TO_RIGHT
    got: Any = render.rasterize_to_pixels_eval3d(
        on_cuda(3), ut_params=render.UnscentedTransformParameters(0.5), ftheta_coeffs=ours,
        rolling_shutter=shutter,
    )  # type: ignore[call-arg]  # fmt: skip
    types: Any = wrapper
    assert got[2]["rolling_shutter"] is types.RollingShutterType.ROLLING_LEFT_TO_RIGHT
    lens = got[2]["ftheta_coeffs"]
    assert type(lens) is types.FThetaCameraDistortionParameters
    assert lens.reference_poly is types.FThetaPolynomialType.ANGLE_TO_PIXELDIST
    assert (lens.max_angle, lens.linear_cde) == (1.0, (1, 0, 0))
    assert got[2]["ut_params"] == types.UnscentedTransformParameters(0.5, 2.0, 0.0, 0.1, True)


def test_without_gsplat_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(
        ImportError, match=r"gsplat is not installed\. Install it .* or move the tensors to the"
    ):
        double(on_cuda(2))


def test_what_gsplat_itself_lacks_is_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'ninja'", name="ninja")

    monkeypatch.setattr("firstlight.render._gsplat.import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="ninja"):
        double(on_cuda(2))


def test_a_gsplat_without_the_function_is_named(gsplat: ModuleType) -> None:
    del gsplat.double
    with pytest.raises(NotImplementedError, match=r"gsplat 1\.5\.3 has no such function"):
        double(on_cuda(2))


def test_other_devices_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="tensors are on meta; move them to the CPU"):
        double(torch.ones(2, device="meta"))


def test_names_and_help_are_kept() -> None:
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
