"""What gsplat calls a camera's shutter, lens polynomial and unscented transform."""

from dataclasses import dataclass
from enum import Enum


class RollingShutterType(Enum):
    """In which order a sensor's rows or columns are read, or GLOBAL: all at once."""

    ROLLING_TOP_TO_BOTTOM = 0
    ROLLING_LEFT_TO_RIGHT = 1
    ROLLING_BOTTOM_TO_TOP = 2
    ROLLING_RIGHT_TO_LEFT = 3
    GLOBAL = 4


@dataclass
class UnscentedTransformParameters:
    """Where sigma points lie and what they weigh (Wan and van der Merwe 2000), and when they count.

    A point is valid inside the picture with a margin of ``in_image_margin_factor`` of its size; a Gaussian is
    seen where all seven are valid, or any of them.
    """

    alpha: float = 0.1
    beta: float = 2.0
    kappa: float = 0.0
    in_image_margin_factor: float = 0.1
    require_all_sigma_points_valid: bool = True


class FThetaPolynomialType(Enum):
    """Which of an f-theta lens's two polynomials is exact; the other is where its inversion starts."""

    PIXELDIST_TO_ANGLE = 0
    ANGLE_TO_PIXELDIST = 1


@dataclass
class FThetaCameraDistortionParameters:
    """An f-theta lens: polynomials between the angle from the axis and the distance in pixels.

    Coefficients rise in power from 0 to 5. The offset from the principal point (x, y) becomes (c x + d y,
    e x + y) with ``linear_cde`` = (c, d, e). Nothing is seen beyond ``max_angle`` (radians).
    """

    reference_poly: FThetaPolynomialType
    pixeldist_to_angle_poly: tuple[float, float, float, float, float, float]
    angle_to_pixeldist_poly: tuple[float, float, float, float, float, float]
    max_angle: float
    linear_cde: tuple[float, float, float]
