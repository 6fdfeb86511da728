"""Draws by weight."""

from __future__ import annotations

import pytest
import torch

from firstlight.sampling import draw


def test_draws_are_as_likely_as_weights_say() -> None:
    weights = torch.tensor([0.0, 1.0, 3.0, 0.0])
    drawn = draw(weights, 4000, torch.Generator().manual_seed(0)).bincount(minlength=4)
    assert drawn[0] == drawn[3] == 0
    assert 2.7 < float(drawn[2] / drawn[1]) < 3.3


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, float("nan"), 1.0], [1.0, float("inf")]])
def test_nothing_is_drawn_from_weights_that_say_nothing(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="expected weights"):
        draw(torch.tensor(weights), 3)
