"""Tables of comparisons as a HEPData submission: a folder with submission.yaml, a YAML file per table, and the archive.

hepdata_lib (extra `hepdata`) writes and checks it; it needs no ROOT for this.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from reana_lite.comparison.tables import Cell, Column, Table
from reana_lite.errors import InvalidInput, NotAllowed


def write_submission(tables: Sequence[Table], folder: Path, *, comment: str) -> None:
    """Write a submission of `tables` into `folder` (made if needed, else empty); it has passed HEPData's validator."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library = import_module("hepdata_lib")
    except ImportError as error:
        raise NotAllowed("HEPData files need hepdata_lib: pip install 'reana-lite[hepdata]'") from error
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(
            f"{folder} is there already: a submission needs an empty folder", field="output", value=str(folder)
        )
    full = [table for table in tables if table.rows]
    if not full:
        raise InvalidInput("there is nothing to submit: no table has rows", field="format")
    submission = library.Submission()
    submission.comment = comment
    for table in full:
        submission.add_table(_table(library, table))
    folder.mkdir(parents=True, exist_ok=True)
    said = io.StringIO()
    try:
        # the library leaves its archive in the working folder, and prints
        with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            submission.create_files(".", validate=True)
    except AssertionError as error:
        raise InvalidInput(
            f"HEPData's validator refuses the tables: {said.getvalue().strip()[:400]}", field="format"
        ) from error


def _table(library: Any, table: Table) -> Any:
    made = library.Table(table.title[:64])
    made.location = "Recomputed with a preserved analysis"
    made.description = " ".join([f"{table.title}.", *table.notes])
    hidden = {c.error for c in table.columns} | {end for c in table.columns for end in c.band or ()}
    columns = [c for c in table.columns if c.name not in hidden and c.name not in ("run", "message")]
    for column in sorted(columns, key=lambda c: not c.given):
        if any(value is not None for value in table.column(column.name)):
            made.add_variable(_variable(library, table, column))
    return made


def _variable(library: Any, table: Table, column: Column) -> Any:
    values = table.column(column.name)
    variable = library.Variable(
        (column.given and column.latex) or column.title,
        is_independent=column.given,
        is_binned=False,
        units=column.unit,
        zero_uncertainties_warning=False,
    )
    variable.values = [_cell(value) for value in values]
    if column.error and any(isinstance(e, float) for e in table.column(column.error)):
        error = library.Uncertainty("MC stat" if "mc" in column.error else "theory", is_symmetric=True)
        error.values = [e if isinstance(e, float) else None for e in table.column(column.error)]
        variable.add_uncertainty(error)
    if column.band:
        lows, highs = (table.column(name) for name in column.band)
        band = library.Uncertainty("1 sigma", is_symmetric=False)
        band.values = [_distances(v, low, high) for v, low, high in zip(values, lows, highs, strict=True)]
        variable.add_uncertainty(band)
    return variable


def _distances(value: Cell, low: Cell, high: Cell) -> tuple[float, float]:
    if not (isinstance(value, float) and isinstance(low, float) and isinstance(high, float)):
        return 0.0, 0.0
    return low - value, high - value


def _cell(value: Cell) -> float | int | str:
    """HEPData has `-` for what is not known."""
    if value is None:
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else value
