"""Rows of numbers as text, in .ply and in .csv."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import IO
from warnings import catch_warnings, simplefilter

import numpy as np

from firstlight.errors import InputError
from firstlight.files._blocks import Array, blocks


def fill_from_text(
    file: IO[bytes], names: list[str], columns: dict[str, Array], path: Path, delimiter: str | None = None
) -> None:
    """Fill ``columns`` from the next lines of ``file``, whose numbers belong to ``names`` in this order."""
    count = len(next(iter(columns.values())))
    filled = (line for line in file if line.strip())
    with catch_warnings(), np.errstate(over="ignore"):
        simplefilter("ignore")  # numpy warns of no rows; the count below says it
        for rows in blocks(count):
            lines = (line.decode("latin-1") for line in islice(filled, rows.stop - rows.start))
            try:
                numbers = np.loadtxt(lines, np.float64, comments=None, ndmin=2, delimiter=delimiter)
            except ValueError as error:
                raise InputError(f"{path}: a row of the file is not numbers ({error}).") from error
            if numbers.shape != (rows.stop - rows.start, len(names)):
                raise InputError(
                    f"{path}: expected {count} rows of {len(names)} numbers, "
                    f"found {numbers.shape[0]} of {numbers.shape[1]} after row {rows.start}."
                )
            for name, column in columns.items():
                column[rows] = numbers[:, names.index(name)]
