"""The incremental mixture against batch formulas, scikit-free."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from firstlight.mixtures import IncrementalGMM


def blobs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around three far corners, shuffled, and the corners."""
    random = np.random.default_rng(seed)
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = corners[random.integers(0, 3, count)] + random.normal(0, 0.7, (count, 2))
    return points, corners


@given(seed=st.integers(0, 1000), dimension=st.integers(1, 6), count=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_one_component_is_the_batch_covariance_with_one_point_of_the_prior(
    seed: int, dimension: int, count: int
) -> None:
    points = 3 * np.random.default_rng(seed).normal(size=(count, dimension)) + 5
    mixture = IncrementalGMM(delta=1.0, max_components=1).partial_fit(points, np.ones(dimension))
    mean = points.mean(0)
    scatter = (points - mean).T @ (points - mean)
    assert np.allclose(mixture.means[0], mean)
    assert np.allclose(mixture.covariances[0], (scatter + np.eye(dimension)) / count)
    assert np.isclose(mixture.log_dets[0], np.linalg.slogdet(mixture.covariances[0])[1])
    assert mixture.masses[0] == pytest.approx(count)


def test_blobs_are_found_in_one_pass_and_in_pieces() -> None:
    points, corners = blobs(900)
    mixture = IncrementalGMM(beta=0.001, delta=0.3)
    for part in np.split(points, 3):
        mixture.partial_fit(part, points.std(0))
    heavy = mixture.means[mixture.weights > 0.1]
    assert len(heavy) == 3
    assert np.abs(heavy[:, None] - corners).sum(-1).min(0).max() < 0.3
    whole = IncrementalGMM(beta=0.001, delta=0.3).partial_fit(points, points.std(0))
    assert np.array_equal(whole.means, mixture.means)


def test_density_is_that_of_the_mixture() -> None:
    points, _ = blobs(300)
    mixture = IncrementalGMM(beta=0.01, delta=0.3).partial_fit(points)
    parts = [
        weight * multivariate_normal(mean, covariance).pdf(points[:20])
        for weight, mean, covariance in zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    ]
    assert np.allclose(mixture.score_samples(points[:20]), np.log(np.sum(parts, 0)))


def test_recall_follows_a_line() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(-3, 3, 500)
    points = np.stack([x, 2 * x - 1 + random.normal(0, 0.05, 500)], 1)
    mixture = IncrementalGMM(beta=0.05, delta=0.3).partial_fit(points)
    asked = np.linspace(-2, 2, 9)[:, None]
    assert np.allclose(mixture.predict(asked, [0]), 2 * asked - 1, atol=0.2)


def test_light_old_components_go() -> None:
    points, _ = blobs(300)
    stray = np.array([[100.0, 100.0]])
    mixture = IncrementalGMM(beta=0.001, delta=0.3).partial_fit(
        np.concatenate([stray, points]), points.std(0)
    )
    assert mixture.means.max() < 50
    kept = IncrementalGMM(beta=0.001, delta=0.3, min_mass=0.0)
    assert kept.partial_fit(np.concatenate([stray, points]), points.std(0)).means.max() == 100


def test_what_does_not_fit_is_refused() -> None:
    mixture = IncrementalGMM().partial_fit(np.zeros((3, 2)))
    assert len(mixture.partial_fit(np.empty((0, 2)))) == 1
    for wrong in (np.zeros(3), np.zeros((3, 4)), np.array([[0.0, np.nan]])):
        with pytest.raises(ValueError, match="expected"):
            mixture.partial_fit(wrong)
    for deviations in (np.ones(1), np.ones((2, 2)), np.array([1.0, np.nan]), np.array([1.0, -1.0])):
        with pytest.raises(ValueError, match="expected 2 deviations"):
            mixture.partial_fit(np.zeros((3, 2)), deviations)
    with pytest.raises(ValueError, match="expected deviations"):
        mixture.partial_fit(np.zeros((1, 2)))


def test_what_cannot_be_asked_is_refused() -> None:
    mixture = IncrementalGMM()
    for ask in (mixture.score_samples, lambda points: mixture.predict(points, [0, 1])):
        with pytest.raises(ValueError, match="nothing learned yet"):
            ask(np.zeros((3, 2)))
    mixture.partial_fit(np.zeros((3, 2)))
    for wrong in (np.zeros(2), np.zeros((3, 1)), np.array([[0.0, np.nan]])):
        for ask in (mixture.score_samples, lambda points: mixture.predict(points, [0, 1])):
            with pytest.raises(ValueError, match="expected finite points"):
                ask(wrong)
    for inputs in ([0, 0], [0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="distinct"):
            mixture.predict(np.zeros((3, 2)), inputs)


@pytest.mark.parametrize("unit", [1e-15, 1.0, 1e15])
def test_the_unit_of_the_data_does_not_matter(unit: float) -> None:
    points, _ = blobs(300)
    points = np.column_stack([points, np.zeros(300)])  # no deviation along one axis
    mixture = IncrementalGMM(beta=0.01, delta=0.3).partial_fit(points * unit)
    expected = IncrementalGMM(beta=0.01, delta=0.3).partial_fit(points)
    assert len(mixture) == len(expected) > 1
    assert np.allclose(mixture.means / unit, expected.means)


@pytest.mark.parametrize("far", [1e9, 1e200])
def test_a_component_outlives_a_point_that_is_too_far_away(far: float) -> None:
    points = np.random.default_rng(0).normal(size=(40, 2))
    points[20] = far
    mixture = IncrementalGMM(max_components=1).partial_fit(points, np.ones(2))
    without = IncrementalGMM(max_components=1).partial_fit(np.delete(points, 20, 0), np.ones(2))
    assert np.array_equal(mixture.covariances, without.covariances)
    assert np.linalg.eigvalsh(mixture.precisions[0]).min() > 0
    assert np.isfinite(mixture.score_samples(points[:3])).all()


def test_components_outlive_stretch_after_stretch() -> None:
    points = np.random.default_rng(0).normal(size=(400, 6))
    points[100:110] *= 1e6
    mixture = IncrementalGMM(0.05, 0.02, max_components=8, min_age=10**9, min_mass=0.0)
    mixture.partial_fit(points, np.ones(6))
    assert np.linalg.eigvalsh(mixture.precisions).min() > 0
    assert np.isfinite(mixture.score_samples(points)).all()


def test_asking_needs_memory_for_a_number_a_point_and_component() -> None:
    random = np.random.default_rng(0)
    mixture = IncrementalGMM(delta=0.05).partial_fit(random.normal(size=(200, 6)))
    asked = random.normal(size=(2000, 6))
    assert len(mixture) > 100
    for ask in (mixture.score_samples, lambda points: mixture.predict(points[:, :3], [0, 1, 2])):
        tracemalloc.start()
        ask(asked)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * 8 * len(asked) * len(mixture)


def test_mixtures_are_equal_only_to_themselves() -> None:
    mixture = IncrementalGMM().partial_fit(np.zeros((3, 2)))
    assert mixture != IncrementalGMM().partial_fit(np.ones((3, 2)))
