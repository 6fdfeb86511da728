"""Exact Gaussian process regression with several independent outputs, by gpytorch."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from firstlight.errors import InputError

BLOCK = 512  # points that are asked at once


class Prediction(NamedTuple):
    """What is believed at Q points."""

    mean: Tensor  # [Q, M]
    variance: Tensor  # [Q, M] of the noiseless function, in squared units of the outputs


@dataclass(frozen=True)
class GpRegression:
    """One exact process with a scaled Matérn kernel for each output, hyperparameters by marginal likelihood.

    Inputs and outputs are brought to [0, 1] first. Memory and time grow with P² and P³: some hundred points
    are what it is for. What is asked goes in blocks: memory grows with Q, not Q². GP-GS (Guo et al. 2025) has
    ν ½ or 1½ in its scripts, Adam at 0.01 and 1,000 steps; a rate ten times as high gets there in a tenth of
    them.
    """

    nu: float = 0.5  # ½, 1½ or 2½
    steps: int = 100
    rate: float = 0.1
    decay: float = 1e-6

    def __call__(self, inputs: Tensor, outputs: Tensor, asked: Tensor) -> Prediction:
        """Learn ``outputs`` [P, M] at ``inputs`` [P, D] and predict at ``asked`` [Q, D]; float64 inside.

        InputError where gpytorch is not installed, ValueError with fewer than two points, other shapes or
        numbers that are not finite.
        """
        gpytorch = _gpytorch()
        _check(inputs, outputs, asked)
        low, reach = _box(inputs.double())
        floor, height = _box(outputs.double())
        x, y = (inputs.double() - low) / reach, ((outputs.double() - floor) / height).T.contiguous()
        likelihood, model = _model(gpytorch, x, y, self.nu)
        # Exact factors: the iterative solvers that gpytorch has for many points draw random numbers.
        with gpytorch.settings.max_cholesky_size(len(x) + BLOCK + 1):
            with torch.enable_grad():
                self._learn(likelihood, model, y)
            model.eval()
            with (
                torch.no_grad(),
                gpytorch.settings.skip_posterior_variances(False),
                warnings.catch_warnings(),
            ):
                # Asked at its own points, gpytorch takes it that one forgot to train.
                warnings.filterwarnings("ignore", "The input matches the stored training data")
                query = (asked.double() - low) / reach
                found = [model(part.expand(len(y), *part.shape)) for part in torch.split(query, BLOCK)]
                mean = torch.cat([part.mean.T for part in found])
                variance = torch.cat([part.variance.T for part in found])
        return Prediction(floor + height * mean, height**2 * variance)

    def _learn(self, likelihood: Any, model: Any, y: Tensor) -> None:
        """Hyperparameters of ``model``, for its outputs ``y`` [M, P]."""
        model.train()
        likelihood.train()
        adam = torch.optim.Adam(model.parameters(), self.rate, weight_decay=self.decay)
        for _ in range(self.steps):
            adam.zero_grad()
            noisy = likelihood(model(*model.train_inputs))
            evidence: Tensor = LogDensity.apply(  # type: ignore[no-untyped-call]
                noisy.covariance_matrix, y - noisy.mean
            )
            loss: Tensor = -evidence.sum() / y.shape[1]
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()


class LogDensity(torch.autograd.Function):
    """log N(r; 0, K) of residuals r [M, P] under covariances K [M, P, P] → [M], float64.

    Its gradient is ½(ααᵀ − K⁻¹), α = K⁻¹r: one inverse from the factor that is there, where going back
    through the factorisation solves several times against whole matrices.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, residual: Tensor) -> Tensor:
        factor = torch.linalg.cholesky(covariance)
        alpha = torch.cholesky_solve(residual[..., None], factor)[..., 0]
        ctx.save_for_backward(factor, alpha)
        halved = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)  # of the log determinant
        constant = 0.5 * residual.shape[-1] * math.log(2 * math.pi)
        found: Tensor = -0.5 * (residual * alpha).sum(-1) - halved - constant
        return found

    @staticmethod
    def backward(ctx: Any, up: Tensor) -> tuple[Tensor, Tensor]:
        factor, alpha = ctx.saved_tensors
        slope = torch.cholesky_inverse(factor).neg_()
        slope.baddbmm_(alpha[..., None], alpha[:, None])
        return 0.5 * up[:, None, None] * slope, -up[:, None] * alpha


def _check(inputs: Tensor, outputs: Tensor, asked: Tensor) -> None:
    if len(inputs) < 2:
        raise ValueError("a process needs at least two points")
    shapes = [list(tensor.shape) for tensor in (inputs, outputs, asked)]
    if (
        any(len(shape) != 2 for shape in shapes)
        or shapes[0][1] != shapes[2][1]
        or len(inputs) != len(outputs)
    ):
        raise ValueError(f"expected inputs [P, D], outputs [P, M] and asked [Q, D], got {shapes}")
    if not all(tensor.isfinite().all() for tensor in (inputs, outputs, asked)):
        raise ValueError("expected finite inputs, outputs and places asked")


def _box(values: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest values [D] and the reach [D] above them, 1 where all are the same."""
    low, reach = values.amin(0), values.amax(0) - values.amin(0)
    return low, torch.where(reach > 0, reach, 1.0)


def _gpytorch() -> Any:
    try:
        import gpytorch
    except ImportError as error:
        raise InputError(
            "Gaussian processes need one more package: pip install 'firstlight[processes]'."
        ) from error
    return gpytorch


def _model(gpytorch: Any, x: Tensor, y: Tensor, nu: float) -> tuple[Any, Any]:
    """Likelihood and model of M processes at once."""
    batch = torch.Size([len(y)])

    class Exact(gpytorch.models.ExactGP):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(x.expand(len(y), *x.shape), y, likelihood)
            self.mean_module = gpytorch.means.ConstantMean(batch_shape=batch)
            matern = gpytorch.kernels.MaternKernel(nu=nu, batch_shape=batch)
            self.covar_module = gpytorch.kernels.ScaleKernel(matern, batch_shape=batch)

        def forward(self, points: Tensor) -> Any:
            mean, covariance = self.mean_module(points), self.covar_module(points)
            return gpytorch.distributions.MultivariateNormal(mean, covariance)

    likelihood = gpytorch.likelihoods.GaussianLikelihood(batch_shape=batch)
    model = Exact().double()
    return likelihood.double(), model
