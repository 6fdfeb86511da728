"""The .splat of antimatter15: 32 bytes a Gaussian, no header, no harmonics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import expit

from firstlight.errors import InputError
from firstlight.files._blocks import blocks, byte_to_logit, empty, repaired, to_byte, unit_quats, views
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.sh import C0

RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def write_splat(gaussians: Gaussians, path: Path) -> None:
    """Write the most important first, so that half a download looks right; harmonics are dropped."""
    order = gaussians.importance.argsort(descending=True, stable=True)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        for rows in blocks(len(gaussians)):
            block = views(gaussians.select(order[rows]))
            records = np.empty(rows.stop - rows.start, RECORD)
            records["mean"] = block["means"]
            records["scale"] = np.exp(np.minimum(block["log_scales"], 88))  # float32 ends at e^88.7
            records["rgba"][:, :3] = to_byte(0.5 + C0 * block["sh"][:, 0])
            records["rgba"][:, 3] = to_byte(expit(block["logit_opacities"]))
            records["quat"] = np.clip(np.rint(unit_quats(block["quats"]) * 128 + 128), 0, 255)
            file.write(records.tobytes())


def read_splat(path: Path) -> Gaussians:
    """Read Gaussians (float32) of degree 0; InputError when the file cannot be used."""
    count, left = divmod(path.stat().st_size, RECORD.itemsize)
    if left or not count:
        raise InputError(
            f"{path}: {path.stat().st_size} bytes are not a .splat file, which has 32 a Gaussian. "
            "It is cut short, or of another format."
        )
    scene = empty(count, 0)
    arrays = views(scene)
    records = np.memmap(path, RECORD, "r", shape=(count,))
    for rows in blocks(count):
        block = records[rows]
        arrays["means"][rows] = block["mean"]
        with np.errstate(divide="ignore", invalid="ignore"):  # a scale of 0 is mended, one below refused
            arrays["log_scales"][rows] = np.log(block["scale"])
        arrays["quats"][rows] = (block["quat"].astype(np.float32) - 128) / 128
        arrays["logit_opacities"][rows] = byte_to_logit(block["rgba"][:, 3])
        arrays["sh"][rows, 0] = (block["rgba"][:, :3] / 255 - 0.5) / C0
    return repaired(scene, path)
