"""One splat worked out by hand for each packed layout: a mistake made both in writing and reading shows."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from firstlight.scene import Gaussians
from firstlight.scene.sh import rgb_to_sh


def one() -> Gaussians:
    """At (1, −2, 0.5), scales ¼, ½ and 2, turn w = 0.8, y = −0.6, opacity 0.2, colour (1, 0.2, 0.6)."""
    return Gaussians(
        means=torch.tensor([[1, -2, 0.5]]),
        quats=torch.tensor([[1.6, 0, -1.2, 0]]),
        log_scales=torch.tensor([[0.25, 0.5, 2]]).log(),
        logit_opacities=torch.tensor([0.2]).logit(),
        sh=rgb_to_sh(torch.tensor([[1, 0.2, 0.6]]))[:, None],
    )


SPLAT = bytes.fromhex(
    "0000803f 000000c0 0000003f"  # place
    "0000803e 0000003f 00000040"  # scales as they are
    "ff339933"  # colour and opacity × 255
    "e6803380"  # w, x, y, z × 128 + 128: 230.4, 128, 51.2, 128
)
SPZ_HEADER = "4e475350 0{}000000 01000000 00 0c 00 00"
SPZ_BODY = (
    "001000 00e0ff 000800"  # place × 4096: 4096, −8192, 2048
    "33"  # opacity × 255
    "c3578d"  # (0.15 · coefficient + 0.5) · 255: 195.3, 86.8, 141.1
    "8a95ab"  # (log-scale + 10) · 16: 137.8, 148.9, 171.1
)
SPZ = {
    2: bytes.fromhex(SPZ_HEADER.format(2) + SPZ_BODY + "803380"),  # (x, y, z + 1) · 127.5: 127.5, 51, 127.5
    # the largest of x, y, z, w is the last: 3 in the top bits; then x, y and z as sign and |q| · √2 · 511:
    # 0, negative 433.6, 0
    3: bytes.fromhex(SPZ_HEADER.format(3) + SPZ_BODY + "00c80ec0"),
}


def test_splat(tmp_path: Path) -> None:
    one().save(tmp_path / "a.splat")
    assert (tmp_path / "a.splat").read_bytes() == SPLAT
    assert_is_one(Gaussians.load(tmp_path / "a.splat"))


@pytest.mark.parametrize("version", [2, 3])
def test_spz(tmp_path: Path, version: int) -> None:
    one().save(tmp_path / "a.spz", version=version)
    assert gzip.decompress((tmp_path / "a.spz").read_bytes()) == SPZ[version]
    (tmp_path / "b.spz").write_bytes(gzip.compress(SPZ[version]))
    assert_is_one(Gaussians.load(tmp_path / "b.spz"))


def test_spz_of_version_1_has_places_in_half_floats(tmp_path: Path) -> None:
    first = bytes.fromhex(
        SPZ_HEADER.format(1) + "003c 00c0 0038" + SPZ_BODY[len("001000 00e0ff 000800") :] + "803380"
    )
    (tmp_path / "a.spz").write_bytes(gzip.compress(first))
    assert_is_one(Gaussians.load(tmp_path / "a.spz"))


def test_compressed_ply(tmp_path: Path) -> None:
    one().save(tmp_path / "a.compressed.ply")
    header, body = (tmp_path / "a.compressed.ply").read_bytes().split(b"end_header\n")
    assert b"element chunk 1\nproperty float min_x\n" in header
    # The chunk's extremes are the splat itself, so place, scale and colour are 0 between them.
    extremes = np.frombuffer(body[:72], "<f4").reshape(3, 2, 3)
    np.testing.assert_allclose(extremes[0], [[1, -2, 0.5]] * 2)
    np.testing.assert_allclose(extremes[2], [[1, 0.2, 0.6]] * 2, atol=1e-6)
    # w is the largest: 0 in the top bits; x, y, z as (q/√2 + ½) · 1023: 511.5, 77.5, 511.5. Opacity 51.
    assert body[72:] == bytes.fromhex("00000000 00360120 00000000 33000000")
    assert_is_one(Gaussians.load(tmp_path / "a.compressed.ply"))


def test_compressed_ply_puts_x_in_the_highest_bits(tmp_path: Path) -> None:
    pair = one().append(one())
    pair.means[1] += torch.tensor([1.0, 2, 4])
    pair.means = torch.cat([pair.means, pair.means[:1] + torch.tensor([[0.5, 0.5, 1]])])
    three = Gaussians(pair.means, *(torch.cat([t, t[:1]]) for t in list(pair)[1:]))
    three.save(tmp_path / "a.compressed.ply")
    words = np.frombuffer((tmp_path / "a.compressed.ply").read_bytes()[-48:], "<u4").reshape(3, 4)[:, 0]
    # ½ · 2047 = 1023.5, ¼ · 1023 = 255.8, ¼ · 2047 = 511.8
    assert sorted(words.tolist()) == [0, 1024 << 21 | 256 << 11 | 512, 2**32 - 1]


def test_sog(tmp_path: Path) -> None:
    one().save(tmp_path / "a.sog")
    with zipfile.ZipFile(tmp_path / "a.sog") as archive:
        meta = json.loads(archive.read("meta.json"))

        def texel(name: str) -> list[int]:
            picture = Image.open(io.BytesIO(archive.read(name))).convert("RGBA")
            return list(np.asarray(picture)[0, 0])

        assert (meta["version"], meta["count"], "shN" in meta) == (2, 1, False)
        np.testing.assert_allclose(meta["means"]["mins"], [np.log(2), -np.log(3), np.log(1.5)], atol=1e-6)
        assert texel("means_l.webp")[:3] == texel("means_u.webp")[:3] == [0, 0, 0]
        # w is the largest: 252 + 0; x, y, z as (q/√2 + ½) · 255: 127.5, 19.3, 127.5
        assert texel("quats.webp") == [128, 19, 128, 252]
        assert texel("sh0.webp")[3] == 51
        chosen = [meta["scales"]["codebook"][i] for i in texel("scales.webp")[:3]]
        np.testing.assert_allclose(np.exp(chosen), [0.25, 0.5, 2], rtol=1e-2)
    assert_is_one(Gaussians.load(tmp_path / "a.sog"))


def assert_is_one(scene: Gaussians) -> None:
    """The splat, up to what the coarsest of the layouts loses."""
    good = one()
    torch.testing.assert_close(scene.means, good.means, atol=1e-4, rtol=0)
    torch.testing.assert_close(scene.scales, good.scales, atol=0, rtol=0.035)
    torch.testing.assert_close(scene.opacities, good.opacities, atol=1e-5, rtol=0)
    torch.testing.assert_close(scene.rgb, good.rgb, atol=5e-3, rtol=0)
    unit = torch.nn.functional.normalize(scene.quats, dim=1)
    torch.testing.assert_close(unit, torch.tensor([[0.8, 0, -0.6, 0]]), atol=6e-3, rtol=0)
