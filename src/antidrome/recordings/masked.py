"""Arrays that need a word before they are used: masked samples are missing, and lengths that dask has yet to learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from antidrome.errors import InputError


def require_known_shape(values: Any, what: str = "the recording") -> None:
    """Raise InputError for a dask array that does not know how many frames or neurons it has."""
    if any(isinstance(length, float) and np.isnan(length) for length in getattr(values, "shape", ())):
        raise InputError(
            f"the length of {what} is unknown, as it is of a dask array of which frames or neurons were chosen by "
            "their values: call compute_chunk_sizes() of the array first"
        )


def unmasked(values: Any, notes: list[str], what: str = "samples") -> Any:
    """NaN where an array (numpy, or dask of numpy) is masked, counted in the notes; all other arrays as they are."""
    if isinstance(values, np.ma.MaskedArray):
        n_masked = int(np.ma.getmaskarray(values).sum())
        if n_masked == 0 or values.dtype.kind not in "iufb":
            return np.ma.getdata(values)
        notes.append(f"{n_masked} masked {what} taken as missing")
        return values.astype(_floats(values.dtype)).filled(np.nan)
    if isinstance(getattr(values, "_meta", None), np.ma.MaskedArray) and values.dtype.kind in "iufb":
        import dask.array as da

        notes.append(f"masked {what} taken as missing")
        return da.ma.filled(values.astype(_floats(values.dtype)), np.nan)
    return values


def _floats(dtype: np.dtype) -> np.dtype:
    """A type that holds the values and NaN: float32 for half floats and integers of up to 16 bits, else float64."""
    if dtype.kind == "f":
        return np.dtype(dtype if dtype.itemsize > 4 else np.float32)
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
