"""The fused loss against its twin, finite differences and an independent SSIM."""

from typing import Any

import numba
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from firstlight.losses import l1, photometric, ssim
from firstlight.losses._twins import photometric_twin, ssim_map_twin

SIZES = [(1, 1), (5, 7), (11, 11), (40, 3), (23, 130), (97, 259)]


def pictures(
    height: int, width: int, masked: bool = False, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor | None]:
    """A smooth picture with noise, a similar photo, and a mask of blots."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(height, width, 3, generator=generator)
    ramp = torch.linspace(0, 1, height)[:, None, None] * torch.linspace(1, 0.2, width)[None, :, None]
    rendered = (0.7 * ramp + 0.3 * noise).float()
    photo = (255 * (0.6 * ramp + 0.4 * torch.rand(height, width, 3, generator=generator))).to(torch.uint8)
    if not masked:
        return rendered, photo, None
    mask = torch.where(torch.rand(height, width, generator=generator) > 0.3, 200, 127).to(torch.uint8)
    mask[: height // 3, : width // 3] = 0
    mask[-1, -1] = 128
    return rendered, photo, mask


def loss_and_gradient(
    function: Any, rendered: Tensor, photo: Tensor, mask: Tensor | None, **settings: float
) -> tuple[Tensor, Tensor]:
    leaf = rendered.clone().requires_grad_()
    loss = function(leaf, photo, mask, **settings)
    loss.backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_value_and_gradient_equal_the_twin(size: tuple[int, int], masked: bool) -> None:
    rendered, photo, mask = pictures(*size, masked)
    loss, gradient = loss_and_gradient(photometric, rendered, photo, mask)
    expected, expected_gradient = loss_and_gradient(photometric_twin, rendered.double(), photo, mask)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=1e-7)
    scale = float(expected_gradient.abs().max())
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=2e-5 * scale)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_weight_mixes_the_two_terms(weight: float) -> None:
    rendered, photo, mask = pictures(31, 45, masked=True)
    loss, gradient = loss_and_gradient(photometric, rendered, photo, mask, ssim_weight=weight)
    expected, expected_gradient = loss_and_gradient(
        photometric_twin, rendered.double(), photo, mask, ssim_weight=weight
    )
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=1e-7)
    scale = float(expected_gradient.abs().max())
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=2e-5 * scale)


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_twin_gradient_equals_finite_differences(masked: bool) -> None:
    rendered, photo, mask = pictures(9, 13, masked)
    leaf = rendered.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: photometric_twin(x, photo, mask), (leaf,), fast_mode=True)


def test_without_gradient_gives_the_same_value() -> None:
    rendered, photo, mask = pictures(50, 140, masked=True)
    with_gradient, _ = loss_and_gradient(photometric, rendered, photo, mask)
    value = photometric(rendered, photo, mask)
    assert not value.requires_grad
    torch.testing.assert_close(value, with_gradient, rtol=1e-6, atol=0)
    with torch.no_grad():
        assert not photometric(rendered.requires_grad_(), photo, mask).requires_grad


def test_upstream_gradient_scales_and_accumulates() -> None:
    rendered, photo, _ = pictures(21, 34)
    _, gradient = loss_and_gradient(photometric, rendered, photo, None)
    leaf = rendered.clone().requires_grad_()
    loss = 3 * photometric(leaf, photo) + leaf.sum()
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(leaf.grad, 2 * (3 * gradient + 1))


def test_equal_pictures_have_no_loss_and_no_gradient() -> None:
    _, photo, _ = pictures(33, 20)
    loss, gradient = loss_and_gradient(photometric, photo.float() * torch.tensor(1 / 255), photo, None)
    assert abs(float(loss)) < 1e-6
    assert float(gradient.abs().max()) < 1e-6


def test_all_masked_is_zero() -> None:
    rendered, photo, _ = pictures(12, 17)
    loss, gradient = loss_and_gradient(photometric, rendered, photo, torch.zeros(12, 17, dtype=torch.uint8))
    assert float(loss) == 0
    assert not gradient.any()
    assert ssim(rendered, photo, torch.zeros(12, 17, dtype=torch.uint8)) != ssim(rendered, photo)


def test_masked_pixels_count_for_nothing() -> None:
    rendered, photo, mask = pictures(40, 55, masked=True)
    loss, gradient = loss_and_gradient(photometric, rendered, photo, mask)
    assert mask is not None
    hidden = mask < 128
    assert hidden.any()
    assert not gradient[hidden].any()
    changed, changed_photo = rendered.clone(), photo.clone()
    changed[hidden], changed_photo[hidden] = torch.nan, 77
    again, gradient_again = loss_and_gradient(photometric, changed, changed_photo, mask)
    assert torch.equal(loss, again)
    assert torch.equal(gradient, gradient_again)


def test_not_a_number_shows() -> None:
    rendered, photo, _ = pictures(30, 30)
    rendered[4, 5, 1] = torch.nan
    assert photometric(rendered, photo).isnan()


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_two_runs_and_any_number_of_threads_agree_bit_for_bit(masked: bool) -> None:
    rendered, photo, mask = pictures(130, 140, masked)
    first = loss_and_gradient(photometric, rendered, photo, mask)
    threads = numba.get_num_threads()
    try:
        for count in {1, threads}:
            numba.set_num_threads(count)
            loss, gradient = loss_and_gradient(photometric, rendered, photo, mask)
            assert torch.equal(loss, first[0])
            assert torch.equal(gradient, first[1])
    finally:
        numba.set_num_threads(threads)


def test_other_memory_layouts_are_read_right() -> None:
    rendered, photo, mask = pictures(26, 37, masked=True)
    assert mask is not None
    turned = [t.transpose(0, 1).contiguous().transpose(0, 1) for t in (rendered, photo, mask)]
    expected, expected_gradient = loss_and_gradient(photometric, rendered, photo, mask)
    loss, gradient = loss_and_gradient(photometric, *turned)
    assert torch.equal(loss, expected)
    assert torch.equal(gradient, expected_gradient)


def test_ssim_equals_torchmetrics_inside() -> None:
    rendered, photo, _ = pictures(64, 81)
    planes = [p.permute(2, 0, 1)[None].double() for p in (rendered, photo.double() / 255)]
    _, full = structural_similarity_index_measure(
        *planes, data_range=1.0, sigma=1.5, kernel_size=11, return_full_image=True
    )
    inside = slice(5, -5)  # their borders are reflected, ours are zero
    ours = ssim_map_twin(rendered.double(), photo)
    theirs = full[0].permute(1, 2, 0)
    torch.testing.assert_close(ours[inside, inside], theirs[inside, inside], rtol=1e-6, atol=1e-7)
    assert ssim(rendered, photo) == pytest.approx(float(ours.mean()), rel=1e-6)


def test_ssim_of_black_pictures_is_one() -> None:
    black = torch.zeros(15, 22, 3)
    assert ssim(black, black.to(torch.uint8)) == pytest.approx(1)


def test_l1_by_hand() -> None:
    rendered = torch.zeros(2, 2, 3)
    photo = torch.zeros(2, 2, 3, dtype=torch.uint8)
    photo[0, 0], photo[1, 1] = 255, 51
    assert float(l1(rendered, photo)) == pytest.approx(1.2 / 4)
    mask = torch.tensor([[0, 127], [128, 255]], dtype=torch.uint8)
    assert float(l1(rendered, photo, mask)) == pytest.approx(0.2 / 2)
    assert float(l1(rendered, photo, mask * 0)) == 0


@pytest.mark.parametrize(
    ("rendered", "photo", "mask", "named"),
    [
        (torch.zeros(4, 5), torch.zeros(4, 5, 3, dtype=torch.uint8), None, "rendered"),
        (torch.zeros(4, 5, 3).double(), torch.zeros(4, 5, 3, dtype=torch.uint8), None, "rendered"),
        (torch.zeros(4, 5, 3), torch.zeros(4, 6, 3, dtype=torch.uint8), None, "photo"),
        (torch.zeros(4, 5, 3), torch.zeros(4, 5, 3), None, "photo"),
        (torch.zeros(4, 5, 3), torch.zeros(4, 5, 3, dtype=torch.uint8), torch.zeros(4, 5), "mask"),
    ],
)
def test_wrong_shapes_are_named(rendered: Tensor, photo: Tensor, mask: Tensor | None, named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} must be"):
        photometric(rendered, photo, mask)
