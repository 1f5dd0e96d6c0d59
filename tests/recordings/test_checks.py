"""Every check fires on a made case and is silent on a clean recording."""

import numpy as np
import pytest
import xarray as xr

from antidrome.errors import InputError
from antidrome.recordings import from_array
from antidrome.recordings.checks import check, register_check, registered_checks, view_of

RATE = 30.0


def calcium(n_frames=6000, n_neurons=12, rate=RATE, seed=0, tau_s=0.7):
    """Noiseless transients: spikes through an exponential."""
    rng = np.random.default_rng(seed)
    spikes = rng.poisson(0.3 / rate, (n_frames, n_neurons))
    kernel = np.exp(-np.arange(int(6 * tau_s * rate)) / (tau_s * rate))
    return 0.3 * np.stack([np.convolve(s, kernel)[:n_frames] for s in spikes.T], axis=1)


def dff_values(noise=0.06, seed=0, **options):
    """ΔF/F as a recording has it: transients and white noise (here 1.0 % Hz^-1/2)."""
    clean = calcium(seed=seed, **options)
    return clean + noise * np.random.default_rng(seed + 1).standard_normal(clean.shape)


def recording(values, rate=RATE, time=None, labels=None, **attrs):
    values = np.asarray(values)
    time = (np.arange(values.shape[0]) + 0.5) / rate if time is None else time
    labels = [f"n{i}" for i in range(values.shape[1])] if labels is None else labels
    attrs = {"quantity": "dff", "units": "1", "frame_rate_hz": rate, **attrs}
    attrs = {name: value for name, value in attrs.items() if value is not None}
    return xr.DataArray(values, dims=("time", "neuron"), coords={"time": time, "neuron": labels}, attrs=attrs)


def found(recording, name):
    """The finding of one check, or None; ids are looked up by the caller's spelling."""
    return next(iter(check(recording, checks=[name])), None)


def test_clean_recording_has_no_finding():
    assert check(recording(dff_values())) == []


def test_every_check_has_a_reason_and_a_kebab_case_id():
    checks = registered_checks()
    assert len(checks) >= 20
    assert len({one.id for one in checks}) == len(checks)
    for one in checks:
        assert one.id == one.id.lower().replace("_", "-").replace(" ", "-")
        assert len(one.why) > 40


def test_ids_are_stable():
    """Scripts filter on these; a change is a change of the interface."""
    assert sorted(one.id for one in registered_checks()) == [
        "clipped-traces",
        "constant-traces",
        "dropped-frames",
        "duplicated-labels",
        "empty-neurons",
        "frame-rate-disagrees",
        "frame-rate-missing",
        "frame-rate-outside-range",
        "identical-traces",
        "infinite-samples",
        "integer-overflow",
        "irregular-timestamps",
        "looks-denoised",
        "looks-percent",
        "looks-smoothed",
        "missing-samples",
        "not-dff",
        "periodic-artefact",
        "raw-fluorescence",
        "rectified-traces",
        "timestamps-decreasing",
        "timestamps-duplicated",
        "timestamps-not-finite",
        "too-noisy",
        "too-short",
        "unit-missing",
        "wrong-orientation",
    ]


def test_denoised_traces():
    finding = found(recording(calcium()), "looks-denoised")
    assert finding.severity == "warning"
    assert len(finding.neurons) == 12
    assert "C + YrA" in finding.fix


def test_one_denoised_neuron_among_noisy_ones_is_named():
    values = dff_values()
    values[:, 4] = calcium()[:, 4]
    assert found(recording(values), "looks-denoised").neurons == ("n4",)


def test_oasis_output_looks_denoised():
    oasis = pytest.importorskip("oasis.functions")
    noisy = dff_values(n_neurons=3)
    denoised = np.stack([oasis.deconvolve(trace, g=(None,), penalty=1)[0] for trace in noisy.T], axis=1)
    findings = {finding.id for finding in check(recording(denoised))}
    assert findings & {"looks-denoised", "looks-smoothed"}


def test_quiet_but_white_noise_is_not_denoised():
    assert found(recording(dff_values(noise=0.004)), "looks-denoised") is None


@pytest.mark.parametrize("rate", [7.5, 30.0, 120.0])
def test_smoothed_traces(rate):
    from scipy.ndimage import gaussian_filter1d, uniform_filter1d

    values = dff_values(rate=rate) * np.sqrt(rate / 30)
    assert found(recording(values, rate), "looks-smoothed") is None
    smoothed = gaussian_filter1d(values, 1.2, axis=0)
    assert "smoothed" in found(recording(smoothed, rate), "looks-smoothed").message
    averaged = found(recording(uniform_filter1d(values, 5, axis=0), rate), "looks-smoothed")
    assert ("5 frames later" if rate > 10 else "share their noise") in averaged.message


def test_too_noisy_neuron_is_named():
    values = dff_values()
    values[:, 3] += 2 * np.random.default_rng(9).standard_normal(len(values))
    finding = found(recording(values), "too-noisy")
    assert finding.neurons == ("n3",)
    assert "1 of 12 neurons" in finding.message


def test_percent():
    finding = found(recording(100 * dff_values()), "looks-percent")
    assert finding.severity == "error"
    assert "100" in finding.fix


def test_percent_that_is_declared_is_understood():
    assert check(recording(100 * dff_values(), units="percent")) == []


def test_raw_fluorescence_fed_as_dff():
    finding = found(recording(400 * (1 + dff_values())), "not-dff")
    assert finding.severity == "error"
    assert "raw fluorescence" in finding.message
    assert found(recording(400 * (1 + dff_values())), "looks-percent") is None


def test_f_over_f0_is_told_from_raw():
    assert "F/F0" in found(recording(1 + dff_values()), "not-dff").message


def test_declared_fluorescence_is_information_only():
    findings = check(recording(400 * (1 + dff_values()), quantity="fluorescence", units="a.u."))
    assert [finding.id for finding in findings] == ["raw-fluorescence"]
    assert (findings[0].severity, "where the file has it (Fneu.npy" in findings[0].fix) == ("info", True)


def test_denoised_fluorescence_is_seen_through_its_unit():
    raw = recording(400 * (1 + calcium()), quantity="fluorescence", units="a.u.")
    assert found(raw, "looks-denoised") is not None


def test_unit_missing():
    assert found(recording(dff_values(), quantity="unknown", units="unknown"), "unit-missing").severity == "warning"


def test_common_sine_gives_its_frequency():
    time = np.arange(6000) / RATE
    finding = found(recording(dff_values() + 0.05 * np.sin(2 * np.pi * 0.4 * time)[:, None]), "periodic-artefact")
    assert "0.41 Hz" in finding.message or "0.40 Hz" in finding.message or "0.39 Hz" in finding.message
    assert "common" in finding.message


def test_sine_in_one_neuron_names_it():
    values = dff_values()
    values[:, 7] += 0.15 * np.sin(2 * np.pi * 1.1 * np.arange(6000) / RATE)
    finding = found(recording(values), "periodic-artefact")
    assert finding.neurons == ("n7",)
    assert "1.09 Hz" in finding.message or "1.12 Hz" in finding.message


def test_constant_and_empty_and_infinite_traces():
    values = dff_values()
    values[:, 1] = 0.3
    values[:, 2] = np.nan
    values[10, 3] = np.inf
    named = {finding.id: finding.neurons for finding in check(recording(values))}
    assert named == {"constant-traces": ("n1",), "empty-neurons": ("n2",), "infinite-samples": ("n3",)}


def test_all_constant_is_an_error():
    assert found(recording(np.zeros((3000, 3))), "constant-traces").severity == "error"


@pytest.mark.parametrize(("share", "severity"), [(0.02, "info"), (0.5, "warning")])
def test_missing_samples_are_counted(share, severity):
    values = dff_values()
    values[: int(share * len(values))] = np.nan
    finding = found(recording(values), "missing-samples")
    assert finding.severity == severity
    assert f"{100 * share:.2g} % of their samples" in finding.message


def test_timestamps():
    time = (np.arange(6000) + 0.5) / RATE
    twice, back, lost, nan = time.copy(), time.copy(), time.copy(), time.copy()
    twice[7] = twice[6]
    back[3000:] -= 50
    lost[3000:] += 4
    nan[5] = np.nan
    values = dff_values()
    assert "first frame 7" in found(recording(values, time=twice), "timestamps-duplicated").message
    assert "first frame 3000" in found(recording(values, time=back), "timestamps-decreasing").message
    assert "about 120 missing frame(s)" in found(recording(values, time=lost), "dropped-frames").message
    assert "frame 5" in found(recording(values, time=nan), "timestamps-not-finite").message
    assert found(recording(values, time=twice), "timestamps-duplicated").severity == "error"


def test_jitter():
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, 6000) / RATE
    time = (np.arange(6000) + 0.5) / RATE
    assert found(recording(dff_values(), time=time + jitter), "irregular-timestamps") is not None
    assert found(recording(dff_values(), time=time + jitter / 10), "irregular-timestamps") is None


def test_frame_rate_missing():
    values = dff_values()
    assert found(values, "frame-rate-missing").severity == "error"
    numbered = recording(values, time=np.arange(6000.0), frame_rate_hz=None)
    assert "count frames" in found(numbered, "frame-rate-missing").message
    assert found(recording(values, frame_rate_hz=None), "frame-rate-missing") is None


def test_frame_rate_out_of_range_and_contradicting():
    values = dff_values()
    assert "30" in found(recording(values, rate=1 / 30), "frame-rate-outside-range").message
    assert "outside 3–150 Hz" in found(recording(values, rate=2.0), "frame-rate-outside-range").message
    assert found(recording(values, rate=3.0), "frame-rate-outside-range") is None
    assert found(recording(values, frame_rate_hz=10.0), "frame-rate-disagrees").severity == "error"


def test_transposed_table_is_an_error():
    values = dff_values(n_frames=4000, n_neurons=60)
    finding = found(recording(values.T), "wrong-orientation")
    assert finding.severity == "error"
    assert "transposed" in finding.message


@pytest.mark.parametrize(("orientation", "other"), [("time,neuron", "neuron,time"), ("neuron,time", "time,neuron")])
def test_the_advice_is_the_other_orientation(orientation, other):
    stored = np.random.default_rng(0).standard_normal((200, 500))
    made = from_array(stored if orientation == "time,neuron" else stored.T, RATE, orientation=orientation)
    (finding,) = [one for one in check(made) if one.id == "wrong-orientation"]
    assert f'orientation="{other}"' in finding.fix


def test_more_neurons_than_frames_is_a_warning():
    finding = found(recording(np.random.default_rng(0).standard_normal((200, 500))), "wrong-orientation")
    assert finding.severity == "warning"


def test_clipped_trace():
    values = dff_values()
    values[:, 5] = np.minimum(values[:, 5], np.percentile(values[:, 5], 97))
    finding = found(recording(values), "clipped-traces")
    assert finding.neurons == ("n5",)
    assert "180 samples" in finding.message


def test_integer_overflow():
    counts = np.round(30_000 * (1 + dff_values(noise=0.02))).astype(np.int64)
    wrapped = counts.astype(np.int16)
    assert (counts != wrapped).any()
    finding = found(recording(wrapped, quantity="fluorescence", units="a.u."), "integer-overflow")
    assert finding.severity == "error"
    assert len(finding.neurons) == 12
    good = recording(counts.astype(np.float32), quantity="fluorescence", units="a.u.")
    assert found(good, "integer-overflow") is None


def test_identical_traces():
    values = dff_values()
    values[:, 8] = values[:, 2]
    finding = found(recording(values), "identical-traces")
    assert finding.neurons == ("n2", "n8")
    assert "1 are surplus" in finding.message


def test_too_short_and_duplicated_labels():
    values = dff_values()
    assert found(recording(values[:60]), "too-short") is not None
    labels = ["a"] * 2 + [f"n{i}" for i in range(10)]
    assert found(recording(values, labels=labels), "duplicated-labels").neurons == ("a",)


def test_errors_come_first():
    values = 100 * dff_values()
    values[:3] = np.nan
    severities = [finding.severity for finding in check(recording(values, units="unknown"))]
    assert severities == ["error", "warning", "info"]


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 2), (1, 5)])
@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf])
def test_degenerate_tables_are_survived(shape, fill):
    findings = check(recording(np.full(shape, fill)))
    assert "too-short" in {finding.id for finding in findings}


def test_nothing_is_changed():
    values = dff_values()
    values[5, 5] = np.nan
    source = recording(values.copy())
    check(source)
    np.testing.assert_array_equal(source.values, values)


def test_large_dask_recording_is_sampled(monkeypatch):
    da = pytest.importorskip("dask.array")
    monkeypatch.setattr("antidrome.recordings.checks.view.MAX_VALUES", 50_000)
    monkeypatch.setattr("antidrome.recordings.checks.run.view_of", lambda r: view_of(r, max_values=50_000))
    largest = []

    def noted(block):
        largest.append(block.size)
        return block

    values = 100 * dff_values(n_frames=40_000, n_neurons=12)
    lazy = da.from_array(values, chunks=(2000, 4)).map_blocks(noted, dtype=values.dtype, meta=values[:0, :0])
    finding = found(recording(values).copy(data=lazy), "looks-percent")
    assert "sampled: 6,144 of 40,000 frames, 8 of 12 neurons" in finding.message
    assert sum(largest) < values.size


def test_blocks_of_whole_traces_are_read_in_part_and_once():
    da = pytest.importorskip("dask.array")
    read = []

    def noted(block):
        read.append(block.shape)
        return block

    values = dff_values(n_frames=10_000, n_neurons=60)
    lazy = da.from_array(values, chunks=(-1, 2)).map_blocks(noted, dtype=values.dtype, meta=values[:0, :0])
    view = view_of(recording(values).copy(data=lazy), max_values=50_000)
    assert read == [(10_000, 2)] * 10  # of 30; four times as many samples as are looked at, and each block once
    assert view.values.shape == (6144, 10)
    assert view.labels[0] == view.all_labels[0]
    assert view.labels[-1] == view.all_labels[58]
    rows = np.searchsorted(view.all_time_s, view.time_s)
    columns = [view.all_labels.index(label) for label in view.labels]
    np.testing.assert_array_equal(view.values, values[np.ix_(rows, columns)].astype(view.values.dtype))


def test_sample_covers_beginning_middle_and_end():
    values = np.arange(30_000.0)[:, None] * np.ones((1, 4))
    view = view_of(recording(values), max_values=40_000)
    assert view.values[0, 0] == 0
    assert view.values[-1, 0] == 29_999
    assert view.is_sampled
    assert (~view.adjacent).sum() == 2


def test_unknown_check_gets_a_suggestion():
    with pytest.raises(InputError, match="Did you mean 'looks-denoised'"):
        check(recording(dff_values()), checks=["looks-denoise"])


def test_other_dims_are_refused():
    with pytest.raises(InputError, match="dims"):
        check(xr.DataArray(np.zeros((3, 3)), dims=("x", "y")))


def test_an_id_is_registered_once():
    with pytest.raises(ValueError, match="is taken"):
        register_check(id="too-short", severity="info")(lambda view: None)


@pytest.mark.parametrize("rate", [1e-4, 0.03, 0.3, 0.56, 0.7, 3e4])
@pytest.mark.parametrize("n_frames", [1, 2, 40, 900])
def test_no_frame_rate_and_no_length_breaks_a_check(rate, n_frames):
    """Times in milliseconds, a period given as a rate, kHz: a finding, never an exception."""
    values = dff_values(n_frames=n_frames, n_neurons=3)
    assert "frame-rate-outside-range" in {finding.id for finding in check(recording(values, rate=rate))}


def test_times_in_milliseconds_are_guessed():
    finding = found(recording(dff_values(n_frames=900), rate=0.03), "frame-rate-outside-range")
    assert "33.33 Hz), or its times like milliseconds (30 Hz)" in finding.message


def test_a_slow_or_wrong_clock_is_not_taken_for_percent():
    """The noise level is one by the clock, and takes what differs between slow frames for noise."""
    slow = dff_values(n_frames=900, rate=1.0, noise=0.4)
    assert [found(recording(scale * slow, rate=1.0), "looks-percent") is None for scale in (1, 100)] == [True, False]
    milliseconds = recording(dff_values(n_frames=900), rate=0.03)
    assert found(milliseconds, "looks-percent") is None
    assert found(milliseconds.copy(data=100 * milliseconds), "looks-percent") is not None
