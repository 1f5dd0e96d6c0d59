"""What the page decodes is what was encoded, to the precision that the docstring promises."""

import base64

import numpy as np
import pytest

from antidrome.report.encode import append_rows, missing_code, new_channels


def decoded(channel, row, n_bins):
    """As the page's script does it: one row cut out of the text."""
    length = 4 * channel.width * np.dtype(channel.dtype).itemsize // 3
    codes = np.frombuffer(base64.b64decode(channel.text()[row * length : (row + 1) * length]), "<" + channel.dtype[0] +
                          str(np.dtype(channel.dtype).itemsize))[:n_bins]  # fmt: skip
    values = np.float32(channel.offset[row]) + np.float32(channel.scale[row]) * codes.astype(np.float64)
    return np.where(codes == missing_code(channel.dtype), np.nan, values)


@pytest.mark.parametrize(("dtype", "steps"), [("int16", 65000), ("uint16", 65000), ("uint8", 253)])
@pytest.mark.parametrize("n_bins", [1, 2, 3, 100])
def test_rows_are_cut_and_decoded_one_by_one(rng, dtype, steps, n_bins):
    values = rng.standard_normal((5, n_bins)) * np.array([[1], [1e-3], [1e3], [0], [1]]) + 2
    values[4] = np.nan
    values[0, 0] = np.nan
    channel = new_channels({"x": dtype}, n_bins)["x"]
    append_rows(channel, values[:2])
    append_rows(channel, values[2:])
    for row in range(5):
        span = np.ptp(values[row][np.isfinite(values[row])]) if np.isfinite(values[row]).any() else 0
        tolerance = span / steps + 1e-6 * np.nanmax(np.abs(values[row]), initial=1)
        np.testing.assert_allclose(decoded(channel, row, n_bins), values[row], atol=tolerance)
