"""The affine colour maps of photos."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from firstlight.fitting._exposure import Exposure, _Affine


def affine_twin(picture: Tensor, matrix: Tensor) -> Tensor:
    return picture @ matrix[:, :3].T + matrix[:, 3]


def inputs(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    picture = torch.rand(height, width, 3, generator=generator)
    matrix = torch.eye(3, 4) + 0.3 * torch.randn(3, 4, generator=generator)
    return picture, matrix, torch.randn(height, width, 3, generator=generator)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (11, 11), (3, 40), (130, 97)], ids=str)
def test_map_and_gradients_equal_the_twin(size: tuple[int, int]) -> None:
    picture, matrix, upstream = inputs(*size)
    ours, theirs = (
        [tensor.to(kind).detach().clone().requires_grad_() for tensor in (picture, matrix)]
        for kind in (torch.float32, torch.float64)
    )
    out = _Affine.apply(*ours)  # type: ignore[no-untyped-call]
    expected = affine_twin(*theirs)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-6)
    out.backward(upstream)
    expected.backward(upstream.double())  # type: ignore[no-untyped-call]
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.grad is not None
        assert reference.grad is not None
        torch.testing.assert_close(mine.grad.double(), reference.grad, rtol=1e-4, atol=1e-5)


def test_twin_gradient_equals_finite_differences() -> None:
    picture, matrix, _ = inputs(4, 5)
    tensors = (picture.double().requires_grad_(), matrix.double().requires_grad_())
    assert torch.autograd.gradcheck(affine_twin, tensors)


def test_two_runs_agree_bit_for_bit_in_any_memory_layout() -> None:
    picture, matrix, upstream = inputs(60, 51)
    turned = picture.transpose(0, 1).contiguous().transpose(0, 1)
    gradients = []
    for source in (picture, picture, turned):
        pair = (
            source.clone(memory_format=torch.preserve_format).requires_grad_(),
            matrix.clone().requires_grad_(),
        )
        _Affine.apply(*pair).backward(upstream)  # type: ignore[no-untyped-call]
        gradients.append([p.grad for p in pair])
    for other in gradients[1:]:
        for one, two in zip(gradients[0], other, strict=True):
            assert one is not None
            assert two is not None
            assert torch.equal(one, two)


def test_begins_as_the_identity() -> None:
    picture, _, _ = inputs(8, 9)
    assert torch.equal(Exposure(3).apply(picture, 1), picture)


def test_scene_and_maps_learned_together_meet_in_the_mean(one_thread: None) -> None:
    """Four photos of one picture, a fifth held out: the scene takes their mean exposure."""
    picture, _, _ = inputs(6, 9)
    gains = torch.tensor([1.1, 1.2, 1.4, 1.5])
    scene = torch.full_like(picture, 0.5).requires_grad_()
    scene_adam = torch.optim.Adam([scene], lr=1e-2)
    exposure = Exposure(5)
    for step in range(1200):
        photo, rate = step % 4, 1e-2 * (1 - step / 1200)
        loss = (exposure.apply(scene, photo) - gains[photo] * picture).square().mean()
        scene_adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        scene_adam.param_groups[0]["lr"] = rate
        scene_adam.step()
        exposure.step(photo, rate)
    matrices = exposure.matrices.detach()
    torch.testing.assert_close(matrices[:4].mean(0), torch.eye(3, 4), rtol=0, atol=1e-5)
    assert torch.equal(matrices[4], torch.eye(3, 4))
    torch.testing.assert_close(scene.detach(), 1.3 * picture, rtol=0, atol=0.02)
    for photo in range(4):
        mapped = exposure.apply(scene, photo).detach()
        torch.testing.assert_close(mapped, gains[photo] * picture, rtol=0, atol=0.02)


def test_goes_on_from_a_saved_state_bit_for_bit() -> None:
    picture, _, _ = inputs(10, 10)
    exposures = [Exposure(2), Exposure(2)]
    for step in range(6):
        if step == 3:
            saved = {name: tensor.clone() for name, tensor in exposures[1].state().items()}
            exposures[1] = Exposure(2)
            exposures[1].load(saved)
        for exposure in exposures:
            loss = (exposure.apply(picture, step % 2) - step * picture).abs().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            exposure.step(step % 2, 1e-2)
    assert torch.equal(exposures[0].matrices, exposures[1].matrices)
    assert not torch.equal(exposures[0].matrices[0], torch.eye(3, 4))


def test_a_gradient_that_is_not_finite_is_dropped() -> None:
    picture, _, _ = inputs(6, 6)
    exposure = Exposure(2)
    (exposure.apply(picture, 0) * torch.nan).sum().backward()  # type: ignore[no-untyped-call]
    exposure.step(0, 1e-2)
    assert torch.equal(exposure.matrices[0], torch.eye(3, 4))
    assert int(exposure.state()["steps"][0]) == 0


def test_state_of_other_photos_is_refused() -> None:
    with pytest.raises(ValueError, match="matrices does not fit"):
        Exposure(3).load(Exposure(2).state())
