"""A Fast Incremental Gaussian Mixture Model (Pinto and Engel 2015): one pass, precisions, no inverses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.special import chdtri

Array = npt.NDArray[np.float64]

LEAST = 1e-9  # share of a point below which a component does not notice it
FLAT = 1e-6  # of the largest deviation: the least one, where data hardly vary along an axis
FAR = 1e12  # how much a point may stretch a component's variance, as float64 still resolves what it was


@dataclass(eq=False)  # what was learned is not among the fields
class IncrementalGMM:
    """A mixture of full-covariance Gaussians that grows with the data, each point seen once.

    A point that no component expects founds one. Otherwise all components move towards it by their share:
    means, precision matrices and log-determinants by exact rank-one formulas, O(D²) a component. The
    published update (two rank-one steps about the moved mean) amounts to another coefficient, ω(1 − 3ω + ω²)
    in the place of ω(1 − ω), and loses positive definiteness when a component is young; here each component's
    covariance is that of its weighted points and one point of the prior's. A component does not learn from a
    point so far outside of it that its precisions would drown in rounding.
    """

    beta: float = 0.1  # a point is unexpected outside of the ellipsoid that holds 1 − beta of a component
    delta: float = 0.1  # a new component's standard deviations, over those of the data
    max_components: int = 100_000  # then all share what none expects, by mass and density
    min_age: int = 5  # points that a component may see before it is asked for its mass
    min_mass: float = 3.0

    def __post_init__(self) -> None:
        self.means: Array = np.empty((0, 0))  # [K, D]
        self.precisions: Array = np.empty((0, 0, 0))  # [K, D, D]
        self.log_dets: Array = np.empty(0)  # [K] of covariances
        self.masses: Array = np.empty(0)  # [K] points' shares, summed
        self.ages: Array = np.empty(0)  # [K] its first point, and those since then that founded no other one

    def __len__(self) -> int:
        return len(self.means)

    @property
    def weights(self) -> Array:
        """Mixing proportions [K]."""
        return np.asarray(self.masses / self.masses.sum())

    @property
    def covariances(self) -> Array:
        """[K, D, D]"""
        return np.asarray(np.linalg.inv(self.precisions))

    def partial_fit(self, points: Array, deviations: Array | None = None) -> IncrementalGMM:
        """Learn ``points`` [P, D] in their order.

        ``deviations`` [D] are rough standard deviations of the data, by default those of these points: a
        stream that comes in small pieces needs those of the whole, and a single point has none.
        ValueError for points of another dimension, or ones that are not finite, and for such deviations.
        """
        points = np.ascontiguousarray(points, np.float64)
        if points.ndim != 2 or not np.isfinite(points).all():
            raise ValueError("expected finite points [P, D]")
        dimension = points.shape[1]
        if len(self) == 0:
            self.means, self.precisions = np.empty((0, dimension)), np.empty((0, dimension, dimension))
        if dimension != self.means.shape[1]:
            raise ValueError(f"expected points of {self.means.shape[1]} dimensions, got {dimension}")
        if len(points) == 0:
            return self
        if len(points) == 1 and deviations is None:
            raise ValueError("expected deviations [D] beside a single point, which has none of its own")
        prior = 1 / (self.delta * _spread(points, deviations)) ** 2
        expected = float(chdtri(dimension, self.beta))  # of χ²; scipy.stats would slow every start
        state = (self.means, self.precisions, self.log_dets, self.masses, self.ages)
        state = _learn(points, prior, expected, self.max_components, self.min_age, self.min_mass, *state)
        self.means, self.precisions, self.log_dets, self.masses, self.ages = state
        return self

    def score_samples(self, points: Array) -> Array:
        """Logarithm of the density at ``points`` [P, D]: [P]."""
        dimension = self.means.shape[1]
        joint = self._log_joint(self._checked(points, dimension), list(range(dimension)))
        highest = joint.max(1)
        return np.asarray(highest + np.log(np.exp(joint - highest[:, None]).sum(1)))

    def predict(self, known: Array, inputs: Sequence[int]) -> Array:
        """The expected other coordinates [P, D − I], given those at ``inputs``: ``known`` [P, I]."""
        inputs, dimension = list(inputs), self.means.shape[1]
        known = self._checked(known, len(inputs))
        if len(set(inputs)) < len(inputs) or not set(inputs) <= set(range(dimension)):
            raise ValueError(f"expected inputs that are distinct numbers in 0 ... {dimension - 1}")
        targets = [i for i in range(dimension) if i not in inputs]
        joint = self._log_joint(known, inputs)
        share = np.exp(joint - joint.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        within = self.precisions[:, targets][:, :, targets]
        across = self.precisions[:, targets][:, :, inputs]
        slope = np.linalg.solve(within, across)  # [K, T, I]
        recalled = np.zeros((len(known), len(targets)))
        for k, mean in enumerate(self.means):
            recalled += share[:, k, None] * (mean[targets] - (known - mean[inputs]) @ slope[k].T)
        return recalled

    def _checked(self, points: Array, width: int) -> Array:
        if len(self) == 0:
            raise ValueError("nothing learned yet: call partial_fit")
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != width or not np.isfinite(points).all():
            raise ValueError(f"expected finite points [P, {width}], got {list(points.shape)}")
        return points

    def _log_joint(self, points: Array, axes: list[int]) -> Array:
        """log(weight · density of the marginal over ``axes``) [P, K]; no more memory than that."""
        factors = np.linalg.cholesky(self.covariances[:, axes][:, :, axes])
        whitening = np.linalg.inv(factors)
        log_dets = 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
        constant = np.log(self.weights) - 0.5 * (log_dets + len(axes) * np.log(2 * np.pi))
        joint = np.empty((len(points), len(self)))
        for k, mean in enumerate(self.means[:, axes]):
            joint[:, k] = constant[k] - 0.5 * (((points - mean) @ whitening[k].T) ** 2).sum(1)
        return joint


def _spread(points: Array, deviations: Array | None) -> Array:
    """Standard deviations [D] of the data, none of them 0."""
    spread = points.std(0) if deviations is None else np.asarray(deviations, np.float64)
    if spread.shape != points.shape[1:] or not (np.isfinite(spread) & (spread >= 0)).all():
        raise ValueError(f"expected {points.shape[1]} deviations, finite and not below 0")
    return np.asarray(np.maximum(spread, FLAT * spread.max(initial=0.0) or 1e-12))


@njit(cache=True, error_model="numpy")
def _learn(
    points: Any,
    prior: Any,
    expected: float,
    most: int,
    min_age: int,
    min_mass: float,
    means: Any,
    precisions: Any,
    log_dets: Any,
    masses: Any,
    ages: Any,
) -> Any:
    count, dimension = means.shape
    room = count + 64
    m, p = np.zeros((room, dimension)), np.zeros((room, dimension, dimension))
    d, s, v = np.zeros(room), np.zeros(room), np.zeros(room)
    m[:count], p[:count], d[:count], s[:count], v[:count] = means, precisions, log_dets, masses, ages
    prior_log_det = -np.log(prior).sum()
    distance, share, g = np.zeros(room), np.zeros(room), np.zeros(dimension)
    for x in points:
        nearest = np.inf
        for k in range(count):
            total = 0.0
            for i in range(dimension):
                row = 0.0
                for j in range(dimension):
                    row += p[k, i, j] * (x[j] - m[k, j])
                total += row * (x[i] - m[k, i])
            distance[k] = total
            nearest = min(nearest, total)
        if count == 0 or (nearest >= expected and count < most):
            if count == room:  # twice the room
                room *= 2
                m, p = np.concatenate((m, np.zeros_like(m))), np.concatenate((p, np.zeros_like(p)))
                d, s = np.concatenate((d, np.zeros_like(d))), np.concatenate((s, np.zeros_like(s)))
                v = np.concatenate((v, np.zeros_like(v)))
                distance, share = np.zeros(room), np.zeros(room)
            m[count], d[count], s[count], v[count] = x, prior_log_det, 1.0, 1.0
            for i in range(dimension):
                for j in range(dimension):
                    p[count, i, j] = prior[i] if i == j else 0.0
            count += 1
        else:
            highest = -np.inf
            for k in range(count):
                share[k] = np.log(s[k]) - 0.5 * (d[k] + distance[k])
                highest = max(highest, share[k])
            total = 0.0
            for k in range(count):
                share[k] = np.exp(share[k] - highest)
                total += share[k]
            for k in range(count):
                v[k] += 1
                part = share[k] / total
                if part < LEAST:
                    continue
                w = part / (s[k] + part)
                # Λ ← (Λ⁻¹(1 − w) + w(1 − w) e eᵀ)⁻¹ by Sherman and Morrison, e from the mean before it moves
                c, inner, fresh = w * (1 - w), 0.0, 0.0
                for i in range(dimension):
                    g[i] = 0.0
                    for j in range(dimension):
                        g[i] += p[k, i, j] / (1 - w) * (x[j] - m[k, j])
                    inner += g[i] * (x[i] - m[k, i])
                    fresh += prior[i] * (x[i] - m[k, i]) ** 2  # as along axes that nothing stretched yet
                if not c * (inner + fresh) <= FAR:  # nor NaN, where all are too far
                    continue
                s[k] += part
                for i in range(dimension):
                    for j in range(dimension):
                        p[k, i, j] = p[k, i, j] / (1 - w) - c / (1 + c * inner) * g[i] * g[j]
                d[k] += dimension * np.log(1 - w) + np.log(1 + c * inner)
                for i in range(dimension):
                    m[k, i] += w * (x[i] - m[k, i])
        kept = 0
        for k in range(count):
            if v[k] > min_age and s[k] < min_mass and count > 1:
                continue
            if kept != k:
                m[kept], p[kept], d[kept], s[kept], v[kept] = m[k], p[k], d[k], s[k], v[k]
            kept += 1
        count = max(kept, 1)
    return m[:count].copy(), p[:count].copy(), d[:count].copy(), s[:count].copy(), v[:count].copy()
