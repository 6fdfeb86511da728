"""Does Gaussian Splatting need SFM Initialization? (Foroutan et al. 2024): a field starts and teaches."""

from firstlight.density import Vanilla
from firstlight.fitting import DepthTeacher, Photometric, Recipe
from firstlight.starts import CloudStart

RECIPE = Recipe(
    name="nerf-distill",
    summary="3DGS from points that a small radiance field sees, whose depth also teaches, less and less.",
    paper="Does Gaussian Splatting need SFM Initialization? (Foroutan et al. 2024)",
    geometry="radiance-field",
    start=CloudStart(),
    density=Vanilla(),
    losses=(Photometric(), DepthTeacher(weight=0.1, fading=5.0)),
    partial="A voxel grid stands for the paper's instant-NGP; points come from depth maps that agree.",
)
