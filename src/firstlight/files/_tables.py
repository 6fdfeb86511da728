"""Attributes as plain tables: .csv with the .ply's columns, .npz with the tensors."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy

from firstlight.errors import InputError
from firstlight.files._blocks import Array, blocks, empty, repaired, views
from firstlight.files._limits import ZIP_ERRORS, check_swell
from firstlight.files._ply import degree_of_columns, ply_columns
from firstlight.files._rows import fill_from_text
from firstlight.files.atomic import atomic_write
from firstlight.scene import Gaussians
from firstlight.scene.sh import sh_degree

Head = tuple[tuple[int, ...], np.dtype[np.generic]]  # shape and type of an array

MAX_LINE = 65536  # bytes of the line with the names


def write_csv(gaussians: Gaussians, path: Path) -> None:
    """Write a line of names, then a row a Gaussian, with as many digits as float32 has."""
    columns = ply_columns(gaussians)
    with atomic_write(path) as temporary, temporary.open("w", encoding="ascii") as file:
        file.write(",".join(columns) + "\n")
        for rows in blocks(len(gaussians)):
            np.savetxt(file, np.stack([column[rows] for column in columns.values()], 1), "%.9g", ",")


def read_csv(path: Path) -> Gaussians:
    """Read Gaussians (float32) from a table with the .ply's columns in any order; others are ignored."""
    with path.open("rb") as file:
        line = file.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise InputError(f"{path}: no line with the names of columns at its beginning.")
        names = [name.strip().strip('"') for name in line.decode("utf-8-sig", "replace").split(",")]
        if len(set(names)) < len(names):
            raise InputError(f"{path}: two columns of the same name.")
        degree = degree_of_columns(names, path, "points")
        start = file.tell()
        count = sum(1 for row in file if row.strip())
        # At least one digit and one separator a value, and none at the end.
        if count == 0 or 2 * count * len(names) - 1 > path.stat().st_size - start:
            raise InputError(f"{path}: no rows of {len(names)} numbers after the line with their names.")
        file.seek(start)
        scene = empty(count, degree)
        fill_from_text(file, names, ply_columns(scene), path, delimiter=",")
    return repaired(scene, path)


def write_npz(gaussians: Gaussians, path: Path) -> None:
    """Write the tensors of a ``Gaussians`` under their names, uncompressed."""
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in views(gaussians).items():
            # Any size may come, which zipfile must know before.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                npy.write_array(file, array, allow_pickle=False)


def read_npz(path: Path) -> Gaussians:
    """Read Gaussians (float32) from arrays with the names and shapes of the tensors; others are ignored."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            names = {name: f"{name}.npy" for name in views(empty(0, 0))}
            missing = [name for name in names if names[name] not in infos]
            if missing:
                raise InputError(f"{path}: arrays are missing: {', '.join(missing)}.")
            check_swell(sum(infos[name].file_size for name in names.values()), path.stat().st_size, path)
            heads = dict[str, Head]()
            for name, entry in names.items():
                with archive.open(infos[entry]) as file:
                    heads[name] = _head(file, path)
            scene = _room(heads, {name: infos[entry].file_size for name, entry in names.items()}, path)
            for name, array in views(scene).items():
                with archive.open(infos[names[name]]) as file:
                    _head(file, path)
                    _fill(file, array, heads[name][1], path)
    except ZIP_ERRORS as error:
        raise InputError(f"{path}: damaged as a zip file ({error}).") from error
    return repaired(scene, path)


def _head(file: IO[bytes], path: Path) -> Head:
    """Shape and type of an array; leaves ``file`` at its first number."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, in_columns, dtype = read(file)
    except (ValueError, SyntaxError, TokenError, MemoryError) as error:  # the header is parsed as Python
        raise InputError(f"{path}: an array in it has no usable header ({error}).") from error
    if in_columns or dtype.kind not in "fiu":
        raise InputError(f"{path}: arrays must be plain numbers, rows one after another; found {dtype}.")
    return shape, dtype


def _room(heads: Mapping[str, Head], sizes: Mapping[str, int], path: Path) -> Gaussians:
    """Room for the scene that the headers promise, if the file is large enough to keep the promise."""
    for name, (shape, dtype) in heads.items():
        if dtype.itemsize * int(np.prod(shape, dtype=object)) > sizes[name]:
            raise InputError(f"{path}: {name} promises {list(shape)} but has {sizes[name]} bytes: damaged.")
    try:
        scene = empty(heads["means"][0][0], sh_degree(heads["sh"][0][1]))
    except (IndexError, ValueError) as error:
        raise InputError(f"{path}: means must be [N, 3] and sh [N, K, 3] ({error}).") from error
    if not len(scene):
        raise InputError(f"{path}: the file holds no Gaussians.")
    for name, array in views(scene).items():
        if heads[name][0] != array.shape:
            raise InputError(f"{path}: {name} is {list(heads[name][0])}, expected {list(array.shape)}.")
    return scene


def _fill(file: IO[bytes], array: Array, dtype: np.dtype[np.generic], path: Path) -> None:
    width = dtype.itemsize * (array[0].size if array.ndim > 1 else 1)
    with np.errstate(over="ignore"):  # a double too large for float32 becomes infinite, and is refused
        for rows in blocks(len(array)):
            data = file.read((rows.stop - rows.start) * width)
            if len(data) < (rows.stop - rows.start) * width:
                raise InputError(f"{path}: cut short.")
            array[rows] = np.frombuffer(data, dtype).reshape(array[rows].shape)
