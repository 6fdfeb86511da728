"""How much memory a run will need, said before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from firstlight.fitting import Recipe
from firstlight.fitting.pictures import DEFAULT_BUDGET
from firstlight.poses import Sift
from firstlight.recipes import budget
from firstlight.scene import Photo

# MB of 10⁶ bytes, and bytes. The largest of a run's parts were counted in the code; what is small beside them
# is in PROGRAM, which is the peak of fits so small that nothing else counts. A test holds the whole to
# measured peaks.
PROGRAM = 580.0  # MB of Python, its packages and loaded kernels
COMPILING = 1450.0  # MB of the two processes that compile kernels, once on a computer
SCALES = 208.0  # bytes a pixel of SIFT's scale space (Sift.at_once: 400 MB at 1600 × 1200)
DECODING = 6.0  # bytes a pixel of a photo as it is decoded and shrunk
FEATURES = 1.3e6  # bytes of a photo's keypoints
SWEEP = 8.0 * 160  # bytes a pixel of the plane sweep's two volumes, at most
SWEPT_SIDE = 480  # pixels of the long side at which planes are swept, at most
DEPTH = 40.0  # bytes a pixel of a photo's depth, normals, confidence and points
COMPARED = 200.0  # bytes a pixel of the photo whose depth is looked for and of its neighbours
PIXEL = 160.0  # bytes of a rendered pixel, its loss and their gradients
MEASURED = 350.0  # bytes of a pixel that is measured: FLIP, SSIM, and depth of a dozen training photos
SPLAT = 300.0  # bytes of a Gaussian in the picture, its tiles and their gradients
FLOAT = 4.0
UNKNOWN = 100_000  # Gaussians of a recipe that sets itself no limit


@dataclass(frozen=True)
class MemoryPlan:
    """MB of 10⁶ bytes. Stages follow each other, so that the largest counts."""

    cameras: float
    geometry: float
    fit: float
    numbers: float

    @property
    def total(self) -> float:
        return PROGRAM + max(self.cameras, self.geometry, self.fit, self.numbers)

    @property
    def largest(self) -> str:
        """The stage that needs most."""
        stages = asdict(self)
        return max(stages, key=lambda name: float(stages[name]))


def plan_memory(photos: Sequence[Photo], train: Sequence[int], recipe: Recipe, posed: bool) -> MemoryPlan:
    """An estimate for fitting ``recipe`` to ``photos``, of which ``train`` are learned from.

    posed: cameras came with the photos. Kernels that no part of the default recipe calls are compiled when
    they are called, which takes some 350 MB more; finding cameras of hard sets may take 600 MB more.
    """
    sift = Sift()
    original = max(photo.width * photo.height for photo in photos)
    looked_at = max(_pixels(photo, sift.max_size) for photo in photos)
    cameras = sift.at_once * (SCALES * looked_at + DECODING * original) + FEATURES * len(photos)

    trained = [photos[i] for i in train]
    geometry = 0.0
    if recipe.geometry is not None:
        longest = min(recipe.geometry_size, recipe.max_size)
        sides = [_pixels(photo, longest) for photo in trained]
        swept = max(_pixels(photo, min(SWEPT_SIDE, longest)) for photo in trained)
        geometry = SWEEP * swept + COMPARED * max(sides) + DEPTH * sum(sides) + DECODING * original

    pixels = [_pixels(photo, recipe.max_size) for photo in trained]
    scales = {scale for _, scale in recipe.pictures} | {1.0}
    kept = min(3 * sum(pixels) * sum(scale**2 for scale in scales), DEFAULT_BUDGET)
    parameters = 11 + 3 * (recipe.sh_degree + 1) ** 2
    # The parameters, their gradients and two moments; and once more while Gaussians come and go.
    gaussian = 8 * FLOAT * parameters + SPLAT
    fit = kept + PIXEL * max(pixels) + gaussian * gaussians_of(recipe) + DECODING * original
    numbers = MEASURED * max(pixels) + FLOAT * parameters * gaussians_of(recipe) + DECODING * original
    megabytes = (amount / 1e6 for amount in (0.0 if posed else cameras, geometry, fit, numbers))
    return MemoryPlan(*(round(amount, 1) for amount in megabytes))


def gaussians_of(recipe: Recipe) -> int:
    """How many there may be in the end."""
    most = budget(recipe)
    for name in ("most", "count"):
        most = most if most is not None else getattr(recipe.start, name, None)
    return UNKNOWN if most is None else most


def usable_memory_mb() -> float | None:
    """MB of 10⁶ bytes that this process could still have; None where the system does not tell.

    On Linux what is available, also within a container's limit.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        known = dict(line.split(":", 1) for line in lines if ":" in line)
        free = [1024 * int(known["MemAvailable"].split()[0])]
    except (OSError, KeyError, ValueError, IndexError):
        return None
    try:
        group = Path("/sys/fs/cgroup")
        free.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no container, or no limit
    return max(min(free), 0) / 1e6


def told(plan: MemoryPlan, usable: float | None, compiling: bool) -> list[str]:
    """The plan in a line, and a warning where there is too little memory."""
    needed = plan.total + (COMPILING if compiling else 0.0)
    beside = f", {COMPILING / 1000:.1f} of them to compile kernels for the first time" if compiling else ""
    if usable is None:
        return [f"Memory: about {needed / 1000:.1f} GB{beside}"]
    lines = [f"Memory: about {needed / 1000:.1f} GB{beside}; {usable / 1000:.1f} GB are free"]
    if needed > usable:
        lines.append("  Too little is free: the run may become slow, or the system may end it.")
        lines.append(f"  {_WAYS_OUT[plan.largest]}")
    return lines


_WAYS_OUT = {
    "cameras": "To find cameras needs less where the photos are smaller: shrink the files.",
    "geometry": "A smaller --max-size or --geometry none needs less, and so does --quality draft.",
    "fit": "A smaller --max-gaussians or --max-size needs less, and so does --quality draft.",
    "numbers": "A smaller --max-size needs less, and so does --quality draft.",
}


def _pixels(photo: Photo, longest: int) -> float:
    """Of the photo with its long side at most ``longest``; of a panorama, of its six faces."""
    if photo.panorama:
        return 6.0 * min(longest, photo.width // 4) ** 2
    scale = min(1.0, longest / max(photo.width, photo.height))
    return photo.width * photo.height * scale**2
