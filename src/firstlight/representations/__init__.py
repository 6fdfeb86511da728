"""What a fit can optimise in the place of plain Gaussians, one module a method."""
