"""ΔF/F against plain loops, made cases with a known answer, and shipped ΔF/F of real recordings."""

import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings import check, noise_level
from antidrome.recordings.baseline import delta_f_over_f
from antidrome.recordings.running_baseline import maximin, running_percentile

RATE = 30.0


def recording(values, time=None, rate=RATE, **attrs):
    values = np.asarray(values)
    time = np.arange(values.shape[0]) / rate if time is None else time
    labels = [f"n{i}" for i in range(values.shape[1])]
    coords = {"time": time, "neuron": labels}
    attrs = {"quantity": "fluorescence", "units": "a.u.", "frame_rate_hz": rate, **attrs}
    return xr.DataArray(values, dims=("time", "neuron"), coords=coords, attrs=attrs, name="fluorescence")


def made_fluorescence(n_frames=3000, n_neurons=4, seed=0):
    """Fluorescence with a drifting baseline around 400, transients and noise; and its true ΔF/F."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_frames) / RATE
    spikes = rng.random((n_frames, n_neurons)) < 0.3 / RATE
    kernel = np.exp(-time[:150] / 0.5)
    calcium = np.stack([np.convolve(s, kernel)[:n_frames] for s in spikes.T], axis=1)
    f0 = 400 * (1 - 0.2 * time / time[-1])[:, None] * (1 + 0.1 * np.arange(n_neurons))
    dff = 0.5 * calcium + 0.03 * rng.standard_normal(calcium.shape)
    return (f0 * (1 + dff)).astype(np.float32), dff


def plain_percentile(values, time, window_s, percentile):
    """The definition, frame by frame."""
    out = np.empty_like(values)
    for i, t in enumerate(time):
        inside = np.abs(time - t) <= window_s / 2 + 1e-9
        out[i] = np.nanpercentile(values[inside], percentile, axis=0)
    return out


def test_running_percentile_is_close_to_the_plain_loop():
    values, _ = made_fluorescence()
    values = values.astype(np.float64)
    time = np.arange(len(values)) / RATE
    fast = running_percentile(values, time, window_s=20.0, percentile=8.0)
    plain = plain_percentile(values, time, 20, 8)
    relative = np.abs(fast - plain) / plain
    assert relative.max() < 0.015  # half the noise SD (0.03) at worst
    assert np.median(relative) < 0.001


def test_running_percentile_is_exact_at_its_centres():
    values, _ = made_fluorescence(n_frames=601)
    time = np.arange(601) / RATE
    fast = running_percentile(values, time, window_s=4.0, percentile=20.0)
    plain = plain_percentile(values, time, 4.0, 20)
    np.testing.assert_allclose(fast[::12], plain[::12], rtol=1e-5)  # centres every 0.4 s


def test_maximin_is_the_chain_of_plain_filters():
    from scipy.ndimage import gaussian_filter1d

    values, _ = made_fluorescence(n_frames=900, n_neurons=2)
    values = values.astype(np.float64)
    ours = maximin(values, np.arange(900) / RATE, frame_rate_hz=RATE, window_s=5.0, smoothing_s=10 / RATE)
    smooth = np.pad(gaussian_filter1d(values, 10.0, axis=0), ((75, 75), (0, 0)), mode="symmetric")
    low = np.array([smooth[i : i + 150].min(axis=0) for i in range(901)])
    low = np.pad(low[:900], ((75, 75), (0, 0)), mode="symmetric")
    plain = np.array([low[i : i + 150].max(axis=0) for i in range(900)])
    inner = slice(160, 740)
    np.testing.assert_allclose(ours[inner], plain[inner], rtol=2e-3)


@pytest.mark.parametrize("baseline", ["percentile", "maximin"])
def test_a_window_of_any_length_is_one_baseline_for_all(baseline):
    values, _ = made_fluorescence(n_frames=300)
    found = [delta_f_over_f(recording(values), baseline=baseline, window_s=length) for length in (1e4, np.inf)]
    np.testing.assert_array_equal(*found)
    f0 = values / (1 + found[0].values)
    np.testing.assert_allclose(f0, np.broadcast_to(f0[0], f0.shape), rtol=1e-5)


@pytest.mark.parametrize("baseline", ["percentile", "maximin"])
def test_true_dff_comes_back(baseline):
    values, truth = made_fluorescence(n_frames=6000)
    ours = delta_f_over_f(recording(values), baseline=baseline)
    for column in range(values.shape[1]):
        assert np.corrcoef(ours.values[:, column], truth[:, column])[0, 1] > 0.98
        slope = np.polyfit(truth[:, column], ours.values[:, column], 1)[0]
        assert 0.9 < slope < 1.15
    assert ours.name == "dff"
    assert ours.dtype == np.float32
    assert ours.attrs["quantity"] == "dff"
    assert ours.attrs["units"] == "1"
    assert baseline in ours.attrs["notes"][0]


def test_neuropil_is_subtracted_with_its_factor():
    values, truth = made_fluorescence()
    surround = 200 + 100 * np.sin(np.arange(len(values)) / 40)[:, None] * np.ones((1, 4))
    mixed = recording(values + 0.7 * surround.astype(np.float32))
    ours = delta_f_over_f(mixed, neuropil=surround, neuropil_factor=0.7)
    without = delta_f_over_f(mixed)
    assert np.corrcoef(ours.values[:, 0], truth[:, 0])[0, 1] > 0.98
    assert np.corrcoef(without.values[:, 0], truth[:, 0])[0, 1] < 0.9
    assert "factor 0.7" in ours.attrs["notes"][0]


@pytest.mark.parametrize("baseline", ["percentile", "maximin"])
def test_missing_samples_stay_missing_and_touch_nothing_else(baseline):
    values, _ = made_fluorescence()
    whole = delta_f_over_f(recording(values), baseline=baseline, window_s=20.0)
    holed = values.copy()
    holed[100:110] = np.nan
    holed[500, 2] = np.inf
    ours = delta_f_over_f(recording(holed), baseline=baseline, window_s=20.0)
    missing = ~np.isfinite(holed)
    assert np.array_equal(np.isnan(ours.values), missing)
    assert np.abs(ours.values - whole.values)[~missing].max() < 0.08
    assert any(note.startswith("41 samples missing") for note in ours.attrs["notes"])


def test_window_is_in_seconds_of_the_recordings_clock():
    values, _ = made_fluorescence()
    keep = np.sort(np.random.default_rng(1).permutation(len(values))[:2000])
    time = np.arange(len(values)) / RATE
    for baseline in ("percentile", "maximin"):
        thinned = delta_f_over_f(recording(values[keep], time=time[keep]), baseline=baseline, window_s=20.0)
        whole = delta_f_over_f(recording(values), baseline=baseline, window_s=20.0)
        assert np.abs(thinned.values - whole.values[keep]).mean() < 0.03


@pytest.mark.parametrize("baseline", ["percentile", "maximin"])
def test_large_gap_starts_a_new_baseline(baseline):
    values = np.full((1200, 1), 100.0) + np.random.default_rng(0).standard_normal((1200, 1))
    values[600:] += 300
    time = np.arange(1200) / RATE
    time[600:] += 100
    ours = delta_f_over_f(recording(values, time=time), baseline=baseline, window_s=20.0)
    assert np.abs(ours.values).max() < 0.1
    assert any("2 stretches" in note for note in ours.attrs["notes"])


def test_over_subtracted_neuron_falls_back_to_its_uncorrected_f0_and_says_so():
    values, truth = made_fluorescence()
    surround = np.zeros_like(values)
    surround[:, 1] = 2000.0
    ours = delta_f_over_f(recording(values), neuropil=surround)
    assert np.corrcoef(ours.values[:, 1], truth[:, 1])[0, 1] > 0.98
    assert 0.9 < np.polyfit(truth[:, 1], ours.values[:, 1], 1)[0] < 1.15
    assert any(note.startswith("1 neuron with F0 near or below zero") for note in ours.attrs["notes"])


def test_neuron_without_positive_f0_is_masked_and_counted():
    values, _ = made_fluorescence()
    values[:, 3] -= 2000
    ours = delta_f_over_f(recording(values))
    assert np.isnan(ours.values[:, 3]).all()
    assert np.isfinite(ours.values[:, :3]).all()
    assert any(note.startswith("1 neuron without a positive F0") for note in ours.attrs["notes"])


def test_dark_stretch_is_masked_and_counted():
    values, _ = made_fluorescence(n_neurons=1)
    values[1500:1800] = 0.0
    ours = delta_f_over_f(recording(values), window_s=5.0)
    dark = np.isnan(ours.values[:, 0])
    assert dark[1530:1770].all()
    assert not dark[:1400].any()
    assert any("samples with F0 near or below zero" in note for note in ours.attrs["notes"])


def test_all_neurons_without_f0_is_an_error():
    values, _ = made_fluorescence()
    with pytest.raises(InputError, match="None of 4 neurons has a positive baseline"):
        delta_f_over_f(recording(values - values.mean(axis=0)))


def test_dask_input_stays_lazy_and_agrees(monkeypatch):
    da = pytest.importorskip("dask.array")
    monkeypatch.setattr("antidrome.recordings.dff_blocks.BLOCK_VALUES", 7000)
    values, _ = made_fluorescence(n_neurons=5)
    values[10:20, 1] = np.nan
    reads = []

    def noted(block):
        reads.append(block.shape)
        return block

    lazy = da.from_array(values, chunks=(1000, 1)).map_blocks(noted, dtype=values.dtype, meta=values[:0, :0])
    eager = delta_f_over_f(recording(values))
    source = recording(values).copy(data=lazy)
    ours = delta_f_over_f(source)
    assert ours.chunks is not None
    assert ours.attrs["notes"] == eager.attrs["notes"]
    np.testing.assert_array_equal(ours.values, eager.values)
    assert {shape[1] for shape in reads} == {1}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"baseline": "median"}, "baseline='median' is unknown"),
        ({"percentile": 130.0}, "percentile=130"),
        ({"window_s": 0.0}, "window_s"),
        ({"neuropil_factor": -1.0}, "neuropil_factor"),
        ({"neuropil": np.ones((3, 4))}, "Neuropil has shape"),
    ],
)
def test_bad_arguments_are_named(options, match):
    values, _ = made_fluorescence(n_frames=300)
    if "baseline" in options:
        delta = getattr(delta_f_over_f, "__wrapped__", delta_f_over_f)
    else:
        delta = delta_f_over_f
    with pytest.raises(InputError, match=match):
        delta(recording(values), **options)


def test_dff_is_refused():
    values, _ = made_fluorescence(n_frames=300)
    with pytest.raises(InputError, match="marked as ΔF/F already"):
        delta_f_over_f(recording(values, quantity="dff"))


def test_repeated_timestamp_is_refused_with_its_frame():
    values, _ = made_fluorescence(n_frames=300)
    time = np.arange(300) / RATE
    time[7] = time[6]
    with pytest.raises(InputError, match="first at frame 7"):
        delta_f_over_f(recording(values, time=time))


def test_neuropil_of_other_neurons_is_refused():
    values, _ = made_fluorescence(n_frames=300)
    other = recording(values).assign_coords(neuron=list("abcd"))
    with pytest.raises(InputError, match="neuron coordinate"):
        delta_f_over_f(recording(values), neuropil=other)


def test_a_frame_rate_that_the_times_contradict_is_refused():
    every_other = recording(made_fluorescence()[0]).assign_attrs(frame_rate_hz=RATE).isel(time=slice(None, None, 2))
    with pytest.raises(InputError, match="but the times of the recording run at"):
        delta_f_over_f(every_other, baseline="maximin")


def test_a_plain_array_needs_its_frame_rate():
    values = made_fluorescence()[0]
    labelled = recording(values, time=(np.arange(len(values)) + 0.5) / RATE)
    found = delta_f_over_f(values, RATE, neuropil=0.1 * values)
    np.testing.assert_array_equal(found.values, delta_f_over_f(labelled, neuropil=0.1 * values).values)
    assert found.attrs["quantity"] == "dff"
    with pytest.raises(InputError, match="pass frame_rate_hz"):
        delta_f_over_f(values)
    with pytest.raises(InputError, match="run at 30 Hz"):
        delta_f_over_f(labelled, 15.0)


@pytest.mark.usefixtures("unchecked_types")
def test_a_path_is_no_recording():
    with pytest.raises(InputError, match=r"got the path 'a.npz'.*antidrome.read"):
        delta_f_over_f("a.npz")


def test_integer_fluorescence_is_not_wrapped():
    values, truth = made_fluorescence()
    counts = recording(np.round(values * 20).astype(np.uint16))
    surround = recording(np.full(values.shape, 9000, dtype=np.uint16))
    ours = delta_f_over_f(counts, neuropil=surround, neuropil_factor=0.9)
    assert ours.dtype == np.float32
    assert np.corrcoef(ours.values[:, 0], truth[:, 0])[0, 1] > 0.97


def raw_and_neuropil(path):
    """Raw and neuropil fluorescence of every recording of a set, from the file beside its ΔF/F."""
    with np.load(path) as file:
        stored = {key: file[key] for key in file.files}
    with np.load(path.with_name(path.name.replace(".rawneuropil", ""))) as file:
        offsets = file["frame_offsets"]
    for i, part in enumerate(map(slice, offsets, offsets[1:])):
        yield tuple(
            (stored[f"{key}_q"][part] * stored[f"{key}_scale"][i] + stored[f"{key}_offset"][i]).astype(np.float32)
            for key in ("raw", "neuropil")
        )


@pytest.mark.data
@pytest.mark.usefixtures("source_tree")
def test_shipped_dff_of_real_raw_and_neuropil_traces(data_folder, capsys):
    """Neuropil factor 0.8 as in the source; with one constant F0 the shipped traces come back to rounding."""
    from benchmarks.ground_truth import read_recordings

    constant, running = [], []
    for path in sorted((data_folder / "spikes" / "cascade").glob("*.rawneuropil.npz")):
        shipped = read_recordings(path.with_name(path.name.replace(".rawneuropil", "")))
        for one, traces in zip(shipped, raw_and_neuropil(path), strict=True):
            f, fneu = (recording(trace[:, None], rate=one.frame_rate_hz) for trace in traces)
            for window_s, results in ((1e5, constant), (60.0, running)):
                ours = delta_f_over_f(f, neuropil=fneu, neuropil_factor=0.8, window_s=window_s)
                results.append(np.corrcoef(ours.values[:, 0], one.dff)[0, 1])
    with capsys.disabled():
        sys.stdout.write(
            f"\nΔF/F against shipped, {len(running)} recordings: constant F0 min r {min(constant):.5f}; running F0 "
            f"median r {np.median(running):.4f}, min {min(running):.4f}"
        )
    assert min(constant) > 0.9999
    assert np.median(running) > 0.98
    assert min(running) > 0.75


@pytest.mark.parametrize("unit", ["ms", "dates", "durations"])
def test_times_are_read_in_their_own_unit(unit):
    values, _ = made_fluorescence(n_frames=900)
    plain = recording(values)
    plain.attrs.pop("frame_rate_hz")
    seconds = plain["time"].values
    durations = (seconds * 1e9).round().astype("timedelta64[ns]")
    times = {"ms": seconds * 1e3, "dates": np.datetime64("2024-05-01", "ns") + durations, "durations": durations}[unit]
    other = plain.assign_coords(time=("time", times, {"units": "ms"} if unit == "ms" else {}))
    dff = delta_f_over_f(other, window_s=5)
    assert dff.attrs["frame_rate_hz"] == pytest.approx(RATE)
    np.testing.assert_allclose(dff.values, delta_f_over_f(plain, window_s=5).values, atol=1e-6)
    assert noise_level(dff).values == pytest.approx(noise_level(delta_f_over_f(plain, window_s=5)).values, rel=1e-5)
    assert [one.id for one in check(dff)] == [one.id for one in check(delta_f_over_f(plain, window_s=5))]


def test_a_window_without_two_frames_is_refused():
    with pytest.raises(InputError, match=r"does not hold two frames at 0\.03 Hz"):
        delta_f_over_f(recording(np.full((50, 1), 100.0), time=np.arange(50) / 0.03, rate=0.03))


def test_recording_and_neuropil_may_call_their_dims_otherwise():
    values, _ = made_fluorescence(n_frames=600)
    around = np.full_like(values, 50) + np.arange(4, dtype=np.float32)
    expected = delta_f_over_f(values, RATE, neuropil=around)
    turned = xr.DataArray(values.T, dims=("roi", "frame"), coords={"roi": list("abcd")}, attrs={"notes": "By hand."})
    neuropil = xr.DataArray(around.T, dims=("cell", "frame"))
    dff = delta_f_over_f(turned, RATE, neuropil=neuropil)
    np.testing.assert_array_equal(dff.values, expected.values)
    assert dff["neuron"].values.tolist() == list("abcd")
    assert dff.attrs["notes"][:2] == ["By hand.", "dimension 'frame' taken as 'time'"]


@pytest.mark.usefixtures("unchecked_types")
def test_neuropil_may_be_a_table_or_lists_and_its_labels_numbers():
    values, _ = made_fluorescence(n_frames=300)
    around = np.full_like(values, 50)
    expected = delta_f_over_f(values, RATE, neuropil=around).values
    numbered = xr.DataArray(around, dims=("time", "neuron"), coords={"neuron": range(4)})
    for neuropil in (pd.DataFrame(around), around.tolist(), numbered):
        np.testing.assert_allclose(delta_f_over_f(values, RATE, neuropil=neuropil).values, expected, atol=1e-6)
    named, table = (pd.DataFrame(one, columns=list("abcd")) for one in (values, around))
    np.testing.assert_allclose(delta_f_over_f(named, RATE, neuropil=table).values, expected, atol=1e-6)
    with pytest.raises(InputError, match="neuropil differ in their neurons' names"):
        delta_f_over_f(named, RATE, neuropil=table[list("dcba")])
    time = np.arange(300) / RATE + 4
    named, table = named.set_axis(time), table.set_axis(time)
    np.testing.assert_allclose(delta_f_over_f(named, neuropil=table).values, expected, atol=1e-6)
    for other in (table.set_axis(time + 5), table[::-1]):
        with pytest.raises(InputError, match="neuropil differ in their time"):
            delta_f_over_f(named, neuropil=other)


@pytest.mark.parametrize("gone", ["fluorescence", "neuropil"])
def test_the_note_on_missing_samples_says_where_they_may_be_missing(gone):
    values = {"fluorescence": np.full((200, 1), 100.0), "neuropil": np.full((200, 1), 10.0)}
    values[gone][10:20] = np.nan
    dff = delta_f_over_f(values["fluorescence"], RATE, neuropil=values["neuropil"])
    assert dff.attrs["notes"][-1].startswith("10 samples missing in the fluorescence or its neuropil: missing here too")
