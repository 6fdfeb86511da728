"""What the rasteriser says when a call does not fit."""


class ShapeError(ValueError, AssertionError):
    """Inputs that do not fit together; gsplat, whose interface this is, raises AssertionError for them."""


def unsupported(function: str, what: str, instead: str) -> NotImplementedError:
    """One clear error naming the call, the part that is missing and the way round it."""
    return NotImplementedError(f"{function}: {what} is not available in firstlight; {instead}")
