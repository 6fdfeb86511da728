"""What the rasteriser says when gsplat's interface has a part that is not here yet."""


def unsupported(function: str, what: str, instead: str) -> NotImplementedError:
    """One clear error naming the call, the part that is missing and the way round it."""
    return NotImplementedError(f"{function}: {what} is not available in firstlight yet; {instead}")
