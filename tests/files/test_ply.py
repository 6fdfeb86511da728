"""The INRIA .ply against its bytes written by hand, two independent packages, and files that lie."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import plyfile
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.errors import InputError
from firstlight.files import _blocks, _ply
from firstlight.scene import Gaussians
from firstlight.scene.sh import sh_count
from tests.photo_sets import photo_set
from tests.scenes import random_gaussians

HEADER = """ply
format binary_little_endian 1.0
element vertex 1
property float x
property float y
property float z
property float nx
property float ny
property float nz
property float f_dc_0
property float f_dc_1
property float f_dc_2
property float f_rest_0
property float f_rest_1
property float f_rest_2
property float f_rest_3
property float f_rest_4
property float f_rest_5
property float f_rest_6
property float f_rest_7
property float f_rest_8
property float opacity
property float scale_0
property float scale_1
property float scale_2
property float rot_0
property float rot_1
property float rot_2
property float rot_3
end_header
"""
BODY = bytes.fromhex(
    "0000803f 000000c0 0000003f"  # position 1, −2, 0.5
    "00000000 00000000 00000000"  # normals
    "0000803e 000080bf 00004040"  # degree 0: red 0.25, green −1, blue 3
    "0000803f 00000040 00004040"  # degree 1: red 1, 2, 3
    "00008040 0000a040 0000c040"  # green 4, 5, 6
    "0000e040 00000041 00001041"  # blue 7, 8, 9
    "0000c03f"  # logit of the opacity 1.5
    "000080c0 000040c0 000000c0"  # log of the scales −4, −3, −2
    "0000003f 000000bf 0000803e 0000403f"  # rotation w, x, y, z: 0.5, −0.5, 0.25, 0.75
)


def by_hand() -> Gaussians:
    sh = [[0.25, -1, 3], [1, 4, 7], [2, 5, 8], [3, 6, 9]]
    return Gaussians(
        means=torch.tensor([[1, -2, 0.5]]),
        quats=torch.tensor([[0.5, -0.5, 0.25, 0.75]]),
        log_scales=torch.tensor([[-4.0, -3, -2]]),
        logit_opacities=torch.tensor([1.5]),
        sh=torch.tensor([sh]),
    )


def assert_same(a: Gaussians, b: Gaussians, rtol: float = 0.0) -> None:
    for (name, x), y in zip(a.tensors().items(), b, strict=True):
        torch.testing.assert_close(x, y, rtol=rtol, atol=rtol, msg=f"{name} differs")


def by_name(scene: Gaussians) -> dict[str, np.ndarray[Any, Any]]:
    """Columns as the layout's description gives them, written out once more without the tested code."""
    rest = scene.sh[:, 1:].permute(0, 2, 1).reshape(len(scene), -1).numpy()
    columns = dict(zip("xyz", scene.means.numpy().T, strict=True))
    columns |= {f"f_dc_{c}": scene.sh[:, 0, c].numpy() for c in range(3)}
    columns |= {f"f_rest_{i}": rest[:, i] for i in range(rest.shape[1])}
    columns["opacity"] = scene.logit_opacities.numpy()
    columns |= {f"scale_{i}": scene.log_scales[:, i].numpy() for i in range(3)}
    columns |= {f"rot_{i}": scene.quats[:, i].numpy() for i in range(4)}
    return columns


def write_with_plyfile(
    path: Path,
    columns: dict[str, np.ndarray[Any, Any]],
    kind: str = "f4",
    text: bool = False,
    order: str = "<",
    before: tuple[Any, ...] = (),
    after: tuple[Any, ...] = (),
) -> Path:
    rows = np.empty(len(columns["x"]), [(name, kind) for name in columns])
    for name, column in columns.items():
        rows[name] = column
    vertex = plyfile.PlyElement.describe(rows, "vertex")
    data = plyfile.PlyData([*before, vertex, *after], text=text, byte_order="=" if text else order)
    data.comments, data.obj_info = (
        ["Ünïcode is not ASCII".encode("ascii", "replace").decode()],
        ["num_cols 9"],
    )
    data.write(str(path))
    return path


def test_writes_the_bytes_computed_by_hand(tmp_path: Path) -> None:
    by_hand().save(tmp_path / "one.ply")
    assert (tmp_path / "one.ply").read_bytes() == HEADER.encode() + BODY


def test_reads_the_bytes_computed_by_hand(tmp_path: Path) -> None:
    (tmp_path / "one.ply").write_bytes(HEADER.encode() + BODY)
    assert_same(Gaussians.load(tmp_path / "one.ply"), by_hand())


@pytest.mark.parametrize("count", [1, 255, 256, 257, 5000])
def test_round_trip_is_exact(tmp_path: Path, count: int) -> None:
    scene = random_gaussians(count, degree=count % 5)
    scene.save(tmp_path / "scene.ply")
    assert_same(Gaussians.load(tmp_path / "scene.ply"), scene)


def test_extreme_but_finite_values_survive(tmp_path: Path) -> None:
    scene = random_gaussians(3)
    scene.means[0] = 3e38
    scene.logit_opacities[:] = torch.tensor([-80.0, 80.0, 0.0])
    scene.save(tmp_path / "scene.ply")
    assert_same(Gaussians.load(tmp_path / "scene.ply"), scene)


def test_plyfile_reads_what_we_write(tmp_path: Path) -> None:
    scene = random_gaussians(300, degree=2)
    scene.save(tmp_path / "scene.ply")
    vertex = plyfile.PlyData.read(str(tmp_path / "scene.ply"))["vertex"]
    for name, column in by_name(scene).items():
        np.testing.assert_array_equal(vertex[name], column)
    assert not vertex["nx"].any()


def test_gsply_reads_what_we_write(tmp_path: Path) -> None:
    gsply = pytest.importorskip("gsply", reason="gsply is not installed")
    scene = random_gaussians(300)
    scene.save(tmp_path / "scene.ply")
    data = gsply.plyread(tmp_path / "scene.ply")
    np.testing.assert_array_equal(data.means, scene.means)
    np.testing.assert_array_equal(data.quats, scene.quats)
    np.testing.assert_array_equal(data.scales, scene.log_scales)
    np.testing.assert_array_equal(data.opacities, scene.logit_opacities)
    np.testing.assert_array_equal(data.sh0, scene.sh[:, 0])
    np.testing.assert_array_equal(np.asarray(data.shN).reshape(300, 15, 3), scene.sh[:, 1:])


def test_reads_what_gsply_writes(tmp_path: Path) -> None:
    gsply = pytest.importorskip("gsply", reason="gsply is not installed")
    scene = random_gaussians(300)
    gsply.plywrite(
        tmp_path / "scene.ply",
        scene.means.numpy(),
        scene.log_scales.numpy(),
        scene.quats.numpy(),
        scene.logit_opacities.numpy(),
        scene.sh[:, 0].numpy().copy(),
        scene.sh[:, 1:].numpy().copy(),
    )
    assert_same(Gaussians.load(tmp_path / "scene.ply"), scene)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_reads_any_encoding_of_plyfile(tmp_path: Path, text: bool, order: str, kind: str) -> None:
    scene = random_gaussians(40, degree=1)
    path = write_with_plyfile(tmp_path / "scene.ply", by_name(scene), kind, text, order)
    assert_same(Gaussians.load(path), scene, rtol=1e-6 if text and kind == "f4" else 0.0)


def test_reads_text_longer_than_one_block(tmp_path: Path) -> None:
    scene = random_gaussians(_blocks.BLOCK + 7, degree=0)
    path = write_with_plyfile(tmp_path / "scene.ply", by_name(scene), "f8", text=True)
    assert_same(Gaussians.load(path), scene)


@pytest.mark.parametrize("text", [False, True])
def test_order_extra_columns_integers_and_other_elements_do_not_matter(tmp_path: Path, text: bool) -> None:
    scene = random_gaussians(20, degree=1)
    scene.means.round_()
    columns = dict(reversed(by_name(scene).items()))
    kinds = {name: "i4" if name in "xyz" else "f4" for name in columns} | {"label": "u1", "weight": "f8"}
    rows = np.zeros(20, list(kinds.items()))
    for name, column in columns.items():
        rows[name] = column
    other = plyfile.PlyElement.describe(np.zeros(3, [("a", "f8"), ("b", "i2")]), "camera")
    faces = np.empty(2, [("vertex_indices", "O")])
    faces["vertex_indices"] = [np.array([0, 1, 2], np.int32), np.array([3], np.int32)]
    last = plyfile.PlyElement.describe(faces, "face")
    vertex = plyfile.PlyElement.describe(rows, "vertex")
    plyfile.PlyData([other, vertex, last], text=text).write(str(tmp_path / "scene.ply"))
    assert_same(Gaussians.load(tmp_path / "scene.ply"), scene, rtol=1e-6 if text else 0.0)


def test_comments_blank_lines_and_windows_line_ends_in_the_header(tmp_path: Path) -> None:
    header = HEADER.replace("element", "comment \xff made somewhere\n\nobj_info x\nelement", 1)
    header = header.replace("\n", "\r\n")
    (tmp_path / "one.ply").write_bytes(header.encode("latin-1") + BODY)
    assert_same(Gaussians.load(tmp_path / "one.ply"), by_hand())


def test_content_decides_before_the_ending(tmp_path: Path) -> None:
    by_hand().save(tmp_path / "one.ply")
    (tmp_path / "one.ply").rename(tmp_path / "one.dat")
    assert_same(Gaussians.load(tmp_path / "one.dat"), by_hand())


def test_what_other_writers_store_for_flat_opaque_unturned_is_repaired(tmp_path: Path) -> None:
    scene = by_hand()
    columns = by_name(scene) | {"opacity": np.array([np.inf], np.float32)}
    columns |= {f"rot_{i}": np.zeros(1, np.float32) for i in range(4)} | {"scale_2": np.array([-np.inf])}
    loaded = Gaussians.load(write_with_plyfile(tmp_path / "scene.ply", columns))
    assert loaded.opacities[0] == pytest.approx(1 - 1e-6)
    assert loaded.quats.tolist() == [[1, 0, 0, 0]]
    assert loaded.finite().all()


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Gaussians.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def changed(path: Path, old: str, new: str, body: bytes = BODY) -> Path:
    assert old in HEADER
    path.write_bytes(HEADER.replace(old, new, 1).encode() + body)
    return path


@pytest.mark.parametrize("count", [2, 10**12, 10**18 - 1])
@pytest.mark.parametrize("encoding", ["binary_little_endian", "binary_big_endian", "ascii"])
def test_a_lying_header_is_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, encoding: str
) -> None:
    taken = []
    empty = _blocks.empty

    def watched(rows: int, degree: int) -> Gaussians:
        taken.append(rows)
        return empty(min(rows, 1), degree)

    monkeypatch.setattr(_ply, "empty", watched)
    header = HEADER.replace("vertex 1", f"vertex {count}").replace("binary_little_endian", encoding)
    (tmp_path / "liar.ply").write_bytes(header.encode() + (b"" if encoding == "ascii" else BODY))
    assert f"promises {count} Gaussians" in refusal(tmp_path / "liar.ply")
    assert max(taken) == 0


def test_a_huge_element_before_the_vertices_is_refused(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "a.ply", "element vertex", f"element junk {10**12}\nproperty int a\nelement vertex"
    )
    assert "promises" in refusal(path)
    path.write_bytes(path.read_bytes().replace(b"binary_little_endian", b"ascii"))
    assert "promises" in refusal(path)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path / "a.ply", "ply", "ply", BODY[:-1])
    assert "cut short" in refusal(path)


def test_missing_properties_are_named(tmp_path: Path) -> None:
    columns = by_name(random_gaussians(2))
    del columns["rot_2"], columns["opacity"]
    path = write_with_plyfile(tmp_path / "a.ply", columns)
    assert "missing: opacity, rot_2" in refusal(path)


def test_two_dimensional_gaussians_are_named(tmp_path: Path) -> None:
    columns = by_name(random_gaussians(2))
    del columns["scale_2"]
    assert "2D Gaussians" in refusal(write_with_plyfile(tmp_path / "a.ply", columns))


def test_a_hole_in_the_harmonics_is_refused(tmp_path: Path) -> None:
    columns = by_name(random_gaussians(2))
    del columns["f_rest_7"]
    assert "44 f_rest" in refusal(write_with_plyfile(tmp_path / "a.ply", columns))


def test_a_point_cloud_is_called_one(tmp_path: Path) -> None:
    columns = {name: np.zeros(4) for name in ("x", "y", "z", "red", "green", "blue")}
    assert "point cloud, not Gaussian splats" in refusal(write_with_plyfile(tmp_path / "a.ply", columns))


def test_a_mesh_is_called_one(tmp_path: Path) -> None:
    faces = np.empty(1, [("vertex_indices", "O")])
    faces["vertex_indices"] = [np.array([0, 1, 2], np.int32)]
    face = plyfile.PlyElement.describe(faces, "face")
    path = write_with_plyfile(tmp_path / "a.ply", {name: np.zeros(4) for name in "xyz"}, after=(face,))
    assert "a mesh, not Gaussian splats" in refusal(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_places_that_are_no_numbers_are_counted(tmp_path: Path, bad: float) -> None:
    columns = by_name(random_gaussians(10))
    columns["y"] = columns["y"].copy()
    columns["y"][[2, 5, 7]] = bad
    message = refusal(write_with_plyfile(tmp_path / "a.ply", columns))
    assert "3 of 10 Gaussians hold NaN or infinity, 3 of them in their positions" in message


def test_doubles_beyond_float32_are_counted(tmp_path: Path) -> None:
    columns = {name: column.astype(np.float64) for name, column in by_name(random_gaussians(10)).items()}
    columns["f_dc_1"][4] = 1e300
    path = write_with_plyfile(tmp_path / "a.ply", columns, "f8")
    assert "1 of 10 Gaussians hold NaN or infinity, 0 of them in their positions" in refusal(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ply", "plx", "not a .ply"),
        ("format binary_little_endian 1.0\n", "", "no format line"),
        ("binary_little_endian", "binary_middle_endian", "binary_middle_endian"),
        ("element vertex 1", "element vertex -1", "-1"),
        ("element vertex 1", "element vertex 1e3", "1e3"),
        ("element vertex 1", "element vertex " + "9" * 30, "999"),
        ("element vertex 1", "element vertex 0", "no Gaussians"),
        ("element vertex 1", "element point 1", "It has: point"),
        ("element vertex 1\n", "", "property float x"),
        ("property float x", "property half x", "property half x"),
        ("property float x", "property list uchar int x", "list properties"),
        ("property float y", "property float x", "twice"),
        ("end_header\n", "", "header"),
        ("end_header\n", "comment " + "x" * 100_000 + "\nend_header\n", "over 4096 bytes"),
        ("end_header\n", "comment\n" * 10_000 + "end_header\n", "4096 lines"),
        ("element vertex", "element chunk 1\nproperty float min_x\nelement vertex", "compressed .ply"),
    ],
)
def test_damaged_headers_say_what_is_wrong(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(changed(tmp_path / "a.ply", old, new))


@pytest.mark.parametrize("row", ["a b c", "1 2", "1 " * 27, ""])
def test_damaged_text_rows_are_refused(tmp_path: Path, row: str) -> None:
    good = " ".join("1" * 26)
    header = HEADER.replace("binary_little_endian", "ascii").replace("vertex 1", "vertex 2")
    (tmp_path / "a.ply").write_text(f"{header}{good}\n{row}\n{'x' * 60}\n")
    refusal(tmp_path / "a.ply")


def test_no_such_file_a_folder_and_an_unknown_ending(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.ply")
    assert "not a file" in refusal(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    assert ".ply" in refusal(tmp_path / "photo.jpg")
    (tmp_path / "empty.ply").write_bytes(b"")
    assert "not a .ply" in refusal(tmp_path / "empty.ply") or "header" in refusal(tmp_path / "empty.ply")
    with pytest.raises(InputError, match="not a format"):
        by_hand().save(tmp_path / "scene.xyz")


def test_nan_is_not_written(tmp_path: Path) -> None:
    scene = random_gaussians(4)
    scene.sh[2, 5, 1] = torch.nan
    by_hand().save(tmp_path / "scene.ply")
    with pytest.raises(ValueError, match="1 of 4 Gaussians"):
        scene.save(tmp_path / "scene.ply")
    assert_same(Gaussians.load(tmp_path / "scene.ply"), by_hand())


def test_gradients_and_float64_are_no_obstacle_to_saving(tmp_path: Path) -> None:
    scene = random_gaussians(5)
    leaves = Gaussians(*(tensor.double().requires_grad_() for tensor in scene))
    leaves.save(tmp_path / "scene.ply")
    assert_same(Gaussians.load(tmp_path / "scene.ply"), scene)


def assert_old_file_survives(folder: Path, said: str) -> None:
    with pytest.raises(InputError, match=said):
        random_gaussians(2000).save(folder / "scene.ply")
    assert_same(Gaussians.load(folder / "scene.ply"), by_hand())
    assert [path.name for path in folder.iterdir()] == ["scene.ply"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand().save(tmp_path / "scene.ply")
    real_open = Path.open

    def open_on_full_disk(path: Path, mode: str = "r", **more: Any) -> Any:
        file = real_open(path, mode, **more)
        if "w" in mode:

            class Full:
                def __enter__(self) -> Full:
                    return self

                def __exit__(self, *exc: object) -> None:
                    file.close()

                def write(self, data: bytes) -> int:
                    if file.tell() + len(data) > 10_000:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    return int(file.write(data))

            return Full()
        return file

    monkeypatch.setattr(Path, "open", open_on_full_disk)
    assert_old_file_survives(tmp_path, "No space left")


def test_a_write_that_the_system_stops_leaves_the_old_file(tmp_path: Path) -> None:
    by_hand().save(tmp_path / "scene.ply")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert_old_file_survives(tmp_path, "could not be written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        by_hand().save(tmp_path / "file" / "scene.ply")


def test_independently_made_file(tmp_path: Path) -> None:
    path = photo_set("splat-files") / "playbot-lod4.ply"
    scene = Gaussians.load(path)
    vertex = plyfile.PlyData.read(str(path))["vertex"]
    assert (len(scene), scene.degree) == (8406, 2)
    for name, column in by_name(scene).items():
        np.testing.assert_array_equal(vertex[name], column)
    scene.save(tmp_path / "again.ply")
    assert_same(Gaussians.load(tmp_path / "again.ply"), scene)


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """Bytes that look like a .ply to begin with: headers of right words in wrong places, or damaged files."""
    if draw(st.booleans()):
        words = st.sampled_from(
            ["ply", "format", "ascii", "binary_little_endian", "1.0", "element", "vertex", "property", "list",
             "float", "double", "uchar", "x", "y", "z", "end_header", "0", "3", "1000000000000", "-1", "\xff"]
        )  # fmt: skip
        lines = draw(st.lists(st.lists(words, max_size=5).map(" ".join), max_size=12))
        text = "\n".join(["ply", "format ascii 1.0", *lines, ""])
        return text.encode("latin-1") + draw(st.binary(max_size=200))
    data = bytearray(HEADER.encode() + BODY)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data) - 1))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data[: draw(st.integers(0, len(data)))])


@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=hostile())
def test_hostile_files_raise_only_input_errors(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "hostile.ply"
    path.write_bytes(data)
    try:
        scene = Gaussians.load(path)
    except InputError as error:
        assert str(path) in str(error)
        return
    held = sum(tensor.nbytes for tensor in scene)
    assert held <= 64 * len(data)
    assert scene.finite().all()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 40), degree=st.integers(0, 4), seed=st.integers(0, 2**30))
def test_any_scene_survives(tmp_path: Path, count: int, degree: int, seed: int) -> None:
    scene = random_gaussians(count, degree, seed)
    scene.save(tmp_path / "scene.ply")
    loaded = Gaussians.load(tmp_path / "scene.ply")
    assert loaded.sh.shape == (count, sh_count(degree), 3)
    assert_same(loaded, scene)
