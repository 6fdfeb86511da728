"""Files that are cut, lie, or were made to do harm: one clear error, in little time and memory."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from firstlight.errors import InputError
from firstlight.files import FORMATS, describe
from firstlight.scene import Gaussians
from tests.files.test_ply import refusal
from tests.scenes import random_gaussians

ENDINGS = [
    ".compressed.ply",
    ".ply",
    ".spz",
    "4.spz",
    ".flz",
    ".sog",
    ".glb",
    ".npz",
    ".csv",
    ".splat",
    ".ksplat",
]


def whole(folder: Path, ending: str, count: int = 40) -> bytes:
    """A good file to damage."""
    if ending == ".ksplat":
        return ksplat(count)
    scene, path = random_gaussians(count, 1), folder / f"whole{ending}"
    scene.save(path, **({"version": 4} if ending == "4.spz" else {}))
    return path.read_bytes()


def ksplat(count: int, level: int = 1, degree: int = 1) -> bytes:
    """One section of ``count`` splats in full buckets of 20 and a partial one, written by hand."""
    full, left = divmod(count, 20)
    main = struct.pack("<BB2xIIIIH2x3fff", 0, 1, 1, 1, count, count, level, 0, 0, 0, 0, 0).ljust(4096, b"\0")
    buckets = full + (left > 0)
    section = struct.pack("<IIIIfH2xI4xIIH", count, count, 20, buckets, 5.0, 12, 0, full, left > 0, degree)
    kinds = {1: ("<f2", 24), 2: ("u1", 24)}
    record = np.zeros(count, [("mean", "<u2", 3), ("scale", "<f2", 3), ("quat", "<f2", 4), ("rgba", "u1", 4),
                              ("sh", kinds[level][0], 9 if degree else 0)])  # fmt: skip
    record["mean"] = 32767 + np.arange(3 * count).reshape(-1, 3) * 10
    record["scale"], record["quat"], record["rgba"] = 0.1, (1, 0, 0, 0), 128
    record["sh"] = np.arange(9) if level == 2 else np.arange(9) / 8
    sizes = np.array([left], "<u4").tobytes() if left else b""
    centers = np.arange(3 * buckets, dtype="<f4").tobytes()
    return main + section.ljust(1024, b"\0") + sizes + centers + record.tobytes()


@pytest.mark.parametrize("level", [1, 2])
def test_ksplat_by_hand(tmp_path: Path, level: int) -> None:
    (tmp_path / "a.ksplat").write_bytes(ksplat(45, level))
    scene = Gaussians.load(tmp_path / "a.ksplat")
    step = 5 / 2 / 32767
    for i in (0, 19, 20, 44):
        center = [3 * (i // 20), 3 * (i // 20) + 1, 3 * (i // 20) + 2]
        expected = [c + step * 10 * (3 * i + axis) for axis, c in enumerate(center)]
        np.testing.assert_allclose(scene.means[i], expected, rtol=1e-5)
    sh = np.arange(9) / 8 if level == 1 else -1.5 + np.arange(9) / 255 * 3
    np.testing.assert_allclose(scene.sh[7, 1:], sh.reshape(3, 3).T, atol=1e-6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_files_raise_only_input_errors(tmp_path: Path, ending: str, data: st.DataObject) -> None:
    good = tmp_path / f"good{ending}"
    if not good.exists():
        good.write_bytes(whole(tmp_path, ending))
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, min(len(content) - 1, data.draw(st.sampled_from([64, 600, 10**6])))))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path = tmp_path / f"bad{ending}"
    path.write_bytes(content)
    try:
        scene = Gaussians.load(path)
    except InputError as error:
        assert str(path) in str(error)
        return
    assert scene.finite().all()
    assert sum(tensor.nbytes for tensor in scene) <= 2**26


@pytest.mark.parametrize(("header", "flags"), [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)])
@pytest.mark.parametrize("ending", [".npz", ".sog"])
def test_names_in_a_zip_that_are_no_text(tmp_path: Path, ending: str, header: bytes, flags: int) -> None:
    """In front of each part, or in the list at the end."""
    content = bytearray(whole(tmp_path, ending))
    at = content.rindex(header)
    content[at + flags + 1] |= 8  # bit 11: the name is UTF-8
    content[content.index(b".", at)] = 0xFF
    (tmp_path / f"bad{ending}").write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\{ending}"):
        Gaussians.load(tmp_path / f"bad{ending}")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), ending=st.sampled_from([f.ending for f in FORMATS]),
       start=st.sampled_from([b"", b"NGSP\x03\0\0\0", b"\x1f\x8b", b"PK\x03\x04", b"glTF\x02\0\0\0", b"{",
                              b"\0\x01\0\0", b"NGSP\x04\0\0\0", b"FLZ\x01"]))  # fmt: skip
def test_noise_raises_only_input_errors(tmp_path: Path, content: bytes, ending: str, start: bytes) -> None:
    path = tmp_path / (ending if ending == "meta.json" else f"noise{ending}")
    path.write_bytes(start + content)
    try:
        assert Gaussians.load(path).finite().all()
    except InputError as error:
        assert str(path) in str(error)


def refused_cheaply(path: Path) -> str:
    """The refusal, at no more than 80 MB of Python's and numpy's memory."""
    tracemalloc.start()
    try:
        message = refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 80e6
    finally:
        tracemalloc.stop()
    return message


@pytest.mark.parametrize("version", [1, 2, 3])
def test_gzip_bomb(tmp_path: Path, version: int) -> None:
    header = struct.pack("<4sIIBBBB", b"NGSP", version, 10_000_000, 3, 12, 0, 0)
    path = tmp_path / "bomb.spz"
    path.write_bytes(gzip.compress(header + bytes(100_000_000), 9))
    assert "more than any real scene" in refused_cheaply(path)


def test_gzip_bomb_behind_a_small_count(tmp_path: Path) -> None:
    """What lies beyond the promised bytes is never unpacked."""
    header = struct.pack("<4sIIBBBB", b"NGSP", 3, 4, 0, 12, 0, 0)
    path = tmp_path / "bomb.spz"
    path.write_bytes(gzip.compress(header + bytes(200_000_000), 9))
    tracemalloc.start()
    assert len(Gaussians.load(path)) == 4
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_zstd_bomb(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(100_000_000))
    header = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 100, 0, 12, 0, 5, 32)
    table = b"".join(struct.pack("<QQ", len(bomb), width * 100) for width in (9, 1, 3, 3, 4))
    path = tmp_path / "bomb.spz"
    path.write_bytes(header + table + bomb * 5)
    tracemalloc.start()
    assert len(Gaussians.load(path)) == 100
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    path.write_bytes(struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 2**31, 0, 12, 0, 5, 32) + table + bomb * 5)
    assert "more than any real scene" in refused_cheaply(path)


def sog(tmp_path: Path, change: dict[str, Any] | None = None, files: dict[str, bytes] | None = None) -> Path:
    """A good .sog with some of its meta.json or files replaced."""
    random_gaussians(40, 1).save(tmp_path / "good.sog")
    with zipfile.ZipFile(tmp_path / "good.sog") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["meta.json"] = json.dumps(json.loads(parts["meta.json"]) | (change or {})).encode()
    path = tmp_path / "bad.sog"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (parts | (files or {})).items():
            archive.writestr(name, data)
    return path


def webp(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "WEBP", lossless=True)
    return out.getvalue()


def test_sog_with_a_picture_of_a_hundred_million_pixels(tmp_path: Path) -> None:
    assert "texels" in refused_cheaply(sog(tmp_path, files={"quats.webp": webp(8000, 8000)}))


@pytest.mark.parametrize("count", [10**6, 10**9, 10**30])
def test_sog_that_lies_about_its_count(tmp_path: Path, count: int) -> None:
    refused_cheaply(sog(tmp_path, {"count": count}))


def test_zip_bomb_in_place_of_meta(tmp_path: Path) -> None:
    assert "claims" in refused_cheaply(sog(tmp_path, files={"meta.json": b" " * 300_000_000}))


def test_zip_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    path = sog(tmp_path, files={"meta.json": b" " * 50_000_000})
    content = path.read_bytes().replace(struct.pack("<I", 50_000_000), struct.pack("<I", 1000))
    path.write_bytes(content)
    refused_cheaply(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "nothing", "[]", "3", '"x"', "", "null"])
def test_json_that_makes_no_sense(tmp_path: Path, text: str) -> None:
    refused_cheaply(sog(tmp_path, files={"meta.json": text.encode()}))
    data = text.encode() + b" " * (-len(text) % 4)
    size = struct.pack("<4sII", b"glTF", 2, 20 + len(data)) + struct.pack("<I4s", len(data), b"JSON")
    (tmp_path / "a.glb").write_bytes(size + data)
    refused_cheaply(tmp_path / "a.glb")
    (tmp_path / "a.gltf").write_text(text)
    refused_cheaply(tmp_path / "a.gltf")


@pytest.mark.parametrize("name", ["../secret.webp", "/etc/passwd", "sub/../../secret.webp", "..", ""])
def test_sog_names_do_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "scene"
    random_gaussians(40, 0).save(folder / "meta.json")
    next(folder.glob("quats*.webp")).rename(tmp_path / "secret.webp")
    meta = json.loads((folder / "meta.json").read_text())
    meta["quats"]["files"] = [name]
    (folder / "meta.json").write_text(json.dumps(meta))
    assert "not the name of a file beside it" in refusal_in(folder)


def test_sog_links_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    random_gaussians(40, 0).save(folder / "meta.json")
    picture = next(folder.glob("quats*.webp"))
    picture.rename(tmp_path / "secret.webp")
    picture.symlink_to(tmp_path / "secret.webp")
    assert "not the name of a file beside it" in refusal_in(folder)


def refusal_in(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        Gaussians.load(folder)
    return str(caught.value)


def gltf(tmp_path: Path, count: int = 4) -> tuple[dict[str, Any], bytes]:
    random_gaussians(count, 0).save(tmp_path / "good.glb")
    content = (tmp_path / "good.glb").read_bytes()
    size = struct.unpack_from("<I", content, 12)[0]
    return json.loads(content[20 : 20 + size]), content[28 + size :]


@pytest.mark.parametrize(
    "uri", ["../secret.bin", "%2e%2e/secret.bin", "/etc/passwd", "http://example.com/a.bin", ".."]
)
def test_gltf_names_do_not_lead_out_of_the_folder(tmp_path: Path, uri: str) -> None:
    document, data = gltf(tmp_path)
    (tmp_path / "secret.bin").write_bytes(data)
    document["buffers"][0]["uri"] = uri
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.gltf").write_text(json.dumps(document))
    assert "not the name of a file beside it" in refusal(tmp_path / "in" / "a.gltf")


def test_gltf_with_data_in_it_or_beside_it(tmp_path: Path) -> None:
    document, data = gltf(tmp_path)
    good = Gaussians.load(tmp_path / "good.glb")
    (tmp_path / "a b.bin").write_bytes(data)
    for uri in ("a%20b.bin", "data:application/octet-stream;base64," + base64.b64encode(data).decode()):
        document["buffers"][0]["uri"] = uri
        (tmp_path / "a.gltf").write_text(json.dumps(document))
        np.testing.assert_array_equal(Gaussians.load(tmp_path / "a.gltf").means, good.means)


def test_describe_counts_what_a_gltf_names_beside_it_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    document, data = gltf(tmp_path)
    path = tmp_path / "in" / "a.gltf"
    (path.parent / "a b.bin").write_bytes(data)
    (path.parent / "other.bin").write_bytes(data)
    document["buffers"][0]["uri"] = "a%20b.bin"
    unused = (
        {"uri": "a b.bin"},
        {"uri": "../good.glb"},
        {"uri": "gone.bin"},
        {"uri": "%00"},
        {"uri": "data:;base64,"},
        7,
    )
    document["buffers"] += unused
    path.write_text(json.dumps(document))
    assert describe(path)["bytes"] == path.stat().st_size + len(data)


def changed(document: dict[str, Any], **parts: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(document | parts))
    return copy


def test_gltf_that_lies(tmp_path: Path) -> None:
    document, data = gltf(tmp_path)
    document["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(data).decode()
    path = tmp_path / "a.gltf"
    loop = [{"children": [1]}, {"children": [0], "mesh": 0}]
    accessors, bufferviews = document["accessors"], document["bufferViews"]
    for bad in (
        changed(document, nodes=loop),
        changed(
            document, nodes=[{"mesh": 0}, *[{"mesh": 0}] * 20_000], scenes=[{"nodes": list(range(20_001))}]
        ),
        changed(document, nodes=[{"mesh": 0}] * 2_000, scenes=[{"nodes": list(range(2_000))}]),
        changed(document, nodes=[{"mesh": 0, "scale": [1, 2, 3]}]),
        changed(document, nodes=[{"mesh": 0, "scale": [-1, 1, 1]}]),
        changed(document, nodes=[{"mesh": 7}]),
        changed(document, nodes=[{"mesh": 0, "matrix": [1.0] * 15}]),
        changed(document, nodes=[{"mesh": 0, "scale": [1, 1]}]),
        changed(document, nodes=[{"mesh": 0, "translation": []}]),
        changed(document, nodes=[{"mesh": 0, "scale": [0, 0, 0]}]),
        changed(document, accessors=[accessors[0] | {"count": 10**12}, *accessors[1:]]),
        changed(document, accessors=[accessors[0] | {"count": 3}, *accessors[1:]]),
        changed(document, accessors=[accessors[0] | {"byteOffset": -12}, *accessors[1:]]),
        changed(document, accessors=[accessors[0] | {"bufferView": 99}, *accessors[1:]]),
        changed(document, bufferViews=[bufferviews[0] | {"byteStride": 0}, *bufferviews[1:]]),
        changed(document, bufferViews=[bufferviews[0] | {"byteLength": 10**15}, *bufferviews[1:]]),
        changed(document, meshes=[]),
        changed(document, scenes=[{"nodes": []}]),
    ):
        path.write_text(json.dumps(bad))
        refused_cheaply(path)


def test_gltf_that_names_one_file_many_times(tmp_path: Path) -> None:
    """A hundredfold of the file's size is believed, not of its size for each time that it is named."""
    document, data = gltf(tmp_path, 20_000)
    (tmp_path / "a.bin").write_bytes(data)
    accessors, bufferviews = document["accessors"], document["bufferViews"]
    [primitive] = document["meshes"][0]["primitives"]
    copies = range(20)
    named = [
        primitive
        | {"attributes": {name: at + len(accessors) * i for name, at in primitive["attributes"].items()}}
        for i in copies
    ]
    many = changed(
        document,
        buffers=[{"uri": "a.bin", "byteLength": len(data)}] * len(copies),
        bufferViews=[view | {"buffer": i} for i in copies for view in bufferviews],
        accessors=[
            one | {"bufferView": at + len(bufferviews) * i}
            for i in copies
            for at, one in enumerate(accessors)
        ],
        meshes=[{"primitives": named * 10}],
    )  # fmt: skip
    (tmp_path / "a.gltf").write_text(json.dumps(many))
    assert "claim to hold" in refused_cheaply(tmp_path / "a.gltf")
    many["meshes"] = [{"primitives": named}]
    (tmp_path / "a.gltf").write_text(json.dumps(many))
    assert len(Gaussians.load(tmp_path / "a.gltf")) == 20 * 20_000


def test_gltf_nodes_move_what_they_hold(tmp_path: Path) -> None:
    document, data = gltf(tmp_path)
    good = Gaussians.load(tmp_path / "good.glb")
    document["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(data).decode()
    half = 0.5**0.5
    document["nodes"] = [
        {"children": [1], "translation": [0, 0, 5]},
        {"mesh": 0, "scale": [2, 2, 2], "rotation": [0, 0, half, half]},
    ]
    (tmp_path / "a.gltf").write_text(json.dumps(document))
    moved = Gaussians.load(tmp_path / "a.gltf")
    # In the file's axes: (x, y, z) → 2 (−y, x, z) + (0, 0, 5); half a turn about z commutes with that.
    x, y, z = good.means.T
    np.testing.assert_allclose(moved.means, np.stack([-2 * y, 2 * x, 2 * z + 5], 1), atol=1e-5)
    np.testing.assert_allclose(moved.log_scales, good.log_scales + np.log(2), atol=1e-5)


def test_npz_that_lies(tmp_path: Path) -> None:
    def write(**arrays: Any) -> Path:
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    good = {name: tensor.numpy() for name, tensor in random_gaussians(5, 1).tensors().items()}
    assert len(Gaussians.load(write(**good))) == 5
    assert "missing: sh" in refusal(write(**{k: v for k, v in good.items() if k != "sh"}))
    assert "quats is" in refusal(write(**good | {"quats": good["means"]}))
    assert "plain numbers" in refusal(write(**good | {"quats": np.array(["a"])}))
    assert "plain numbers" in refusal(write(**good | {"sh": np.asfortranarray(good["sh"])}))
    pickled = {"means": np.array([{}], object)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "plain numbers" in refusal(write(**good | pickled))
    header = (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 3), }"
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, array in good.items():
            stored = io.BytesIO()
            np.save(stored, array)
            archive.writestr(
                f"{name}.npy", header.ljust(127) + b"\n" if name == "means" else stored.getvalue()
            )
    assert "promises" in refused_cheaply(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "header", [b"{'descr': '<f4', ", b"{'descr': ','}", b"-" * 9000, b"{'a", b"(" * 9000]
)
def test_npz_whose_header_is_no_python(tmp_path: Path, header: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in random_gaussians(5, 1).tensors():
            size = struct.pack("<H", len(header))
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + size + header)
    assert "header" in refused_cheaply(tmp_path / "a.npz")


def test_zip_whose_lzma_is_damaged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        for name, tensor in random_gaussians(500, 1).tensors().items():
            stored = io.BytesIO()
            np.save(stored, tensor.numpy())
            archive.writestr(f"{name}.npy", stored.getvalue())
    content = bytearray((tmp_path / "a.npz").read_bytes())
    assert len(Gaussians.load(tmp_path / "a.npz")) == 500
    content[60:70] = bytes(10)
    (tmp_path / "a.npz").write_bytes(content)
    assert "damaged" in refused_cheaply(tmp_path / "a.npz")


def test_csv_that_lies(tmp_path: Path) -> None:
    random_gaussians(3, 0).save(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    for bad in ([lines[0]], [*lines[:1], "1,2,3"], [*lines, "x" + lines[1]], [lines[0], *["0"] * 100_000],
                [lines[0].replace("x,y", "x,x"), *lines[1:]], ["x,y,z", "1,2"], ["x" * 10**5]):  # fmt: skip
        (tmp_path / "a.csv").write_text("\n".join(bad) + "\n")
        refused_cheaply(tmp_path / "a.csv")


def test_csv_with_blank_lines(tmp_path: Path) -> None:
    scene = random_gaussians(3, 0)
    scene.save(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([lines[0], "", lines[1], "  ", *lines[2:], "", ""]))
    np.testing.assert_array_equal(Gaussians.load(tmp_path / "a.csv").means, scene.means)


def test_compressed_ply_in_another_order(tmp_path: Path) -> None:
    random_gaussians(300, 1).save(tmp_path / "a.compressed.ply")
    good = Gaussians.load(tmp_path / "a.compressed.ply")
    header, body = (tmp_path / "a.compressed.ply").read_bytes().split(b"end_header\n")
    start, chunk, vertex, sh = header.split(b"element ")
    parts = {"chunk": body[: 2 * 72], "vertex": body[2 * 72 :][: 300 * 16], "sh": body[-300 * 9 :]}
    heads = {"chunk": chunk, "vertex": vertex, "sh": sh}
    for order in permutations(parts):
        head = b"element ".join([start, *(heads[name] for name in order)]) + b"end_header\n"
        (tmp_path / "b.compressed.ply").write_bytes(head + b"".join(parts[name] for name in order))
        read = Gaussians.load(tmp_path / "b.compressed.ply")
        assert all(np.array_equal(a, b) for a, b in zip(read, good, strict=True)), order


def test_ksplat_that_lies(tmp_path: Path) -> None:
    good = ksplat(45)
    path = tmp_path / "a.ksplat"
    for at, value in (
        (4, 2**31),
        (4096, 2**31),
        (4100, 2**31),
        (4108, 2**31),
        (4128, 0),
        (4132, 2**30),
        (4136, 9),
    ):
        path.write_bytes(good[:at] + struct.pack("<I", value) + good[at + 4 :])
        refused_cheaply(path)
    path.write_bytes(zlib.compress(good))
    refused_cheaply(path)


def test_what_is_only_read_is_not_written(tmp_path: Path) -> None:
    for ending in (".ksplat", ".gltf"):
        with pytest.raises(InputError, match="does not write"):
            random_gaussians(1).save(tmp_path / f"a{ending}")
    with pytest.raises(InputError, match=r"reads and writes .*\.spz"):
        random_gaussians(1).save(tmp_path / "a.obj")
    with pytest.raises(ValueError, match="no Gaussians"):
        random_gaussians(0).save(tmp_path / "a.ply")
