"""The incremental mixture against batch formulas, scikit-free."""

from __future__ import annotations

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
