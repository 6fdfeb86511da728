"""Trees of Gaussians: planting, teaching, growing, and their fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from firstlight import pipeline
from firstlight.capture import load_demo
from firstlight.density import Fixed, Look, Refinement, Views
from firstlight.files import FOREST_FILE, load_forest
from firstlight.fitting import Fit, Recipe
from firstlight.recipes import get_recipe
from firstlight.representations import ForestModel, Trees
from firstlight.representations.gaussianforest import dealt, planted, spread, teach
from firstlight.scene import Capture
from firstlight.starts import RandomBox
from tests.forests import random_forest
from tests.scenes import random_gaussians


def test_groups_whose_values_differ_are_uneven() -> None:
    values, group = torch.tensor([1.0, 1.1, 0, 0, 0, 9.0, 4.0]), torch.tensor([0, 0, 2, 2, 2, 2, 1])
    found = spread(values, group, 4)
    torch.testing.assert_close(found.mean, torch.tensor([1.05, 4.0, 2.25, 0.0]))
    assert found.uneven.tolist() == [False, False, True, False]
    new, sources = dealt(group, values, found, found.uneven)
    assert new.tolist() == [0, 0, 2, 2, 2, 4, 1] and sources.tolist() == [0, 1, 2, 3, 2]


def test_trees_are_as_large_as_asked_for() -> None:
    scene = random_gaussians(700, 1)
    forest = planted(Trees(), scene, 2.0, torch.Generator().manual_seed(0))
    assert torch.bincount(forest.root[forest.branch]).max() <= 64
    assert 700 / 8 <= len(forest.branches) <= 700 / 4
    assert torch.bincount(forest.branch, minlength=len(forest.branches)).min() >= 1
    assert torch.bincount(forest.root, minlength=len(forest.roots)).min() >= 1
    again = planted(Trees(), scene, 2.0, torch.Generator().manual_seed(0))
    assert torch.equal(forest.branches, again.branches) and torch.equal(forest.branch, again.branch)


def test_teaching_brings_the_leaves_near_to_what_they_stand_for() -> None:
    scene = random_gaussians(300, 1)
    scene.quats[:] = torch.tensor([1.0, 0, 0, 0])
    scene.log_scales[:] = -2 + 0.5 * scene.means  # something that there is to learn
    scene.sh[:, 0] = scene.means.sin()
    scene.sh[:, 1:] = 0
    forest = planted(Trees(), scene, 2.0, torch.Generator().manual_seed(0))

    def off() -> tuple[float, ...]:
        made = forest.gaussians().detach()
        return tuple(
            float((a - b).square().mean()) for a, b in ((made.sh, scene.sh), (made.scales, scene.scales))
        )

    before = off()
    teach(forest, scene, 100)
    assert all(now < 0.1 * then for now, then in zip(off(), before, strict=True))


@pytest.fixture(scope="module")
def capture() -> Capture:
    return pipeline.prepare(load_demo(with_cameras=True), 64)


def recipe(steps: int, grow_gradient: float = 2e-4, max_gaussians: int = 10_000) -> Recipe:
    return replace(
        get_recipe("gaussianforest"),
        start=RandomBox(800),
        density=Fixed(),
        representation=Trees(after=0.0, taught=20, grow_gradient=grow_gradient, max_gaussians=max_gaussians),
        steps=steps,
        sh_degree=1,
    )


@pytest.mark.usefixtures("one_thread")
def test_it_learns_grows_and_is_kept(capture: Capture, tmp_path: Path) -> None:
    fit = Fit(capture, recipe(220, grow_gradient=1e-5, max_gaussians=900), list(range(6)), 0)
    fit.begin()
    assert isinstance(fit.model, ForestModel)
    branches, quality = len(fit.model.forest.branches), fit.probe([7])
    for _ in range(60):
        fit.step()
    model = fit.model
    assert isinstance(model, ForestModel)
    assert model.rebuilt == 1 and len(model) == 900
    forest = model.forest
    assert len(forest.branches) >= branches
    for _ in range(20):
        fit.step()
    assert fit.probe([7]) > quality + 1
    fit.model.save(tmp_path)
    kept = load_forest(tmp_path / FOREST_FILE)
    assert len(kept) == 900
    fit.model.forest = kept
    fit.model.changed()
    worse = fit.probe([7])
    fit.model.forest = forest
    fit.model.changed()
    assert worse == pytest.approx(fit.probe([7]), abs=0.3)


@pytest.mark.usefixtures("one_thread")
def test_the_faint_go_and_nothing_empty_is_left(capture: Capture) -> None:
    fit = Fit(capture, recipe(220, grow_gradient=1e3), [0, 1], 0)
    fit.begin()
    model = fit.model
    assert isinstance(model, ForestModel)
    with torch.no_grad():
        gone = model.forest.root[model.forest.branch] < 3
        model.forest.logit_opacities[gone] = -9
    roots = len(model.forest.roots)
    for _ in range(50):
        fit.step()
    assert len(model) == 800 - int(gone.sum()) and len(model.forest.roots) == roots - 3
    assert set(model.forest.branch.tolist()) == set(range(len(model.forest.branches)))


@pytest.mark.usefixtures("one_thread")
def test_a_resumed_fit_is_the_unbroken_one(capture: Capture) -> None:
    whole, first, second = (Fit(capture, recipe(120), [0, 1, 2], 0) for _ in range(3))
    whole.begin()
    first.begin()
    for _ in range(52):
        whole.step()
    for _ in range(47):
        first.step()
    second.restore(47, {name: tensor.clone() for name, tensor in first.state().items()})
    for _ in range(5):
        second.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.model.gaussians, second.model.gaussians, strict=True))


def test_branches_and_roots_are_doubled_where_their_leaves_disagree() -> None:
    model = ForestModel(Trees(), random_forest(24, 6, 2))
    forest = model.forest
    forest.branch = torch.arange(24) // 4
    forest.root = torch.tensor([0, 0, 0, 1, 1, 1])
    gradient = torch.zeros(24)
    gradient[[1, 12, 13]] = 1.0  # alone on branch 0; two of four on branch 3, which is alone on root 1
    model.noted = {"gradient": gradient, "seen": torch.ones(24)}
    before, branch = forest.branches.detach(), forest.branch
    now = Refinement(100, 2000, 1.0, 1e-3, False, torch.Generator().manual_seed(0), no_views())
    assert model.refine(now) == "+3 −0"
    grown = model.forest
    # Branch 3's standard deviation is its mean, no more: only branch 0 is doubled. Both roots are.
    assert len(model) == 27 and len(grown.branches) == 7 and len(grown.roots) == 4
    sources = torch.cat([torch.arange(6), torch.tensor([0])])
    assert torch.equal(grown.branches, before[sources])
    assert grown.branch[:24].tolist() == [6 if leaf == 1 else int(branch[leaf]) for leaf in range(24)]
    assert grown.branch[24:].sort().values.tolist() == [3, 3, 6]
    assert grown.root.tolist() == [2, 0, 0, 3, 1, 1, 2]
    assert torch.equal(grown.roots[2:], grown.roots[:2])
    assert grown.means.isfinite().all()
    assert all(
        len(optimizer._last) == n for optimizer, n in zip(model.optimizers.values(), (27, 7, 4), strict=True)
    )


def no_views() -> Views:
    class Nothing:
        def __len__(self) -> int:
            return 0

        def look(self, place: int, keep: torch.Tensor | None = None) -> Look:
            raise AssertionError("nothing is looked at")

    return Nothing()


def test_a_forest_is_a_model() -> None:
    model = ForestModel(Trees(), random_forest())
    assert len(model) == 200
    assert all(tensor.is_leaf and tensor.requires_grad for tensor in model.parameters().values())
