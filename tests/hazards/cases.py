"""Bad inputs, one function each: what it is called in the documentation, and the call that a user would make with it.

A case ends in an error of Antidrome, or returns what came of it: findings of the checks, a note, or a sentence.
"""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
import zarr

import antidrome as ad
from antidrome.core.model_files import load_model, save_model
from antidrome.recordings import check, from_array, read

CASES: dict[str, tuple[str, Callable[[Path], Any]]] = {}


def case(group: str, tried: str) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Register a case under the words of the documentation."""

    def register(function: Callable[[Path], Any]) -> Callable[[Path], Any]:
        assert tried not in CASES
        CASES[tried] = (group, function)
        return function

    return register


def traces(n_frames: int = 3000, n_neurons: int = 6, rate: float = 30.0) -> np.ndarray:
    """ΔF/F with transients and white noise."""
    rng = np.random.default_rng(0)
    spikes = rng.poisson(0.4 / rate, (n_frames + 300, n_neurons))
    kernel = np.exp(-np.arange(300) / (0.5 * rate))
    clean = np.stack([np.convolve(column, kernel)[300 : 300 + n_frames] for column in spikes.T], axis=1)
    return (0.3 * clean + 0.05 * rng.standard_normal(clean.shape)).astype(np.float32)


def said(recording: xr.DataArray, *names: str) -> str:
    """What the checks of these names say of a recording."""
    findings = [one for one in check(recording) if one.id in names]
    assert {one.id for one in findings} == set(names)
    return " ".join(f"{one.severity}: {one.message} {one.fix}" for one in findings)


def found(values: np.ndarray, name: str) -> str:
    """What the check of this name says of ΔF/F at 30 Hz."""
    return said(from_array(values, 30.0, quantity="dff"), name)


# files


@case("Files", "a file that is not there")
def _(folder):
    read(folder / "day1.nwb")


@case("Files", "text that is called .nwb")
def _(folder):
    (folder / "day1.nwb").write_text("to be copied later")
    read(folder / "day1.nwb")


@case("Files", "an HDF5 file cut short by a broken copy")
def _(folder):
    with h5py.File(folder / "day1.h5", "w") as file:
        file["F"] = traces()
    content = (folder / "day1.h5").read_bytes()
    (folder / "day1.h5").write_bytes(content[: len(content) // 2])
    read(folder / "day1.h5", frame_rate_hz=30.0)


@case("Files", "an HDF5 file damaged so that HDF5 reads on for ever")
def _(folder):
    with h5py.File(folder / "day1.h5", "w") as file:
        file["F"] = traces()
        file.attrs["about"] = "text of variable length"
    content = bytearray((folder / "day1.h5").read_bytes())
    struct.pack_into("<H6xQ", content, content.index(b"GCOL") + 16, 0, 0)
    (folder / "day1.h5").write_bytes(content)
    read(folder / "day1.h5", frame_rate_hz=30.0)


@case("Files", "an HDF5 link into another of your files")
def _(folder):
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = np.zeros((50, 2))
    with h5py.File(folder / "day1.h5", "w") as file:
        file["F"] = h5py.ExternalLink("other.h5", "/x")
    read(folder / "day1.h5", frame_rate_hz=30.0)


@case("Files", "an HDF5 dataset that keeps its bytes in another of your files")
def _(folder):
    (folder / "secret").write_bytes(struct.pack("<300f", *range(300)))
    with h5py.File(folder / "day1.h5", "w") as file:
        file.create_dataset("F", (150, 2), "f4", external=[(str(folder / "secret"), 0, 1200)])
    read(folder / "day1.h5", frame_rate_hz=30.0)


@case("Files", "4 kB of HDF5 that declare 745 GiB")
def _(folder):
    with h5py.File(folder / "day1.h5", "w") as file:
        file.create_dataset("F", (10**9, 100), "f8", chunks=(1000, 10))
    read(folder / "day1.h5", frame_rate_hz=30.0)


@case("Files", "a zip bomb as .npz")
def _(folder):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**8, 1)})
    with zipfile.ZipFile(folder / "day1.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("F.npy", header.getvalue() + bytes(10**8))
    read(folder / "day1.npz", frame_rate_hz=30.0)


@case("Files", "a pickle inside .npy")
def _(folder):
    np.save(folder / "day1.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    read(folder / "day1.npy", frame_rate_hz=30.0)


@case("Files", "a bare pickle")
def _(folder):
    (folder / "day1.pkl").write_bytes(b"\x80\x04\x95\x00.")
    read(folder / "day1.pkl")


@case("Files", "a Zarr codec that unpickles")
def _(folder):
    (folder / "day1.zarr").mkdir()
    metadata = {
        "zarr_format": 2, "shape": [50, 2], "chunks": [50, 2], "dtype": "|O", "order": "C", "fill_value": None,
        "compressor": None, "filters": [{"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (folder / "day1.zarr" / ".zarray").write_text(json.dumps(metadata))
    read(folder / "day1.zarr", frame_rate_hz=30.0)


@case("Files", "a Zarr array of 5 kB in chunks of 7 GiB")
def _(folder):
    zarr.create_array(folder / "day1.zarr", shape=(300, 2), chunks=(10**5, 10**4), dtype="f8")
    read(folder / "day1.zarr", frame_rate_hz=30.0)


@case("Files", "a table without a frame rate")
def _(folder):
    np.save(folder / "day1.npy", traces())
    read(folder / "day1.npy")


@case("Files", "words in a CSV table of numbers")
def _(folder):
    (folder / "day1.csv").write_text("time,a\n0.0,1.5\n0.1,artefact\n")
    read(folder / "day1.csv")


@case("Files", "truth values instead of numbers")
def _(folder):
    np.save(folder / "day1.npy", traces() > 0.1)
    read(folder / "day1.npy", frame_rate_hz=30.0)


@case("Files", "an NWB file without a single ROI")
def _(folder):
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ophys import ImageSegmentation, OpticalChannel

    file = NWBFile("a session", "1", datetime(2024, 1, 1, tzinfo=UTC))
    device = file.create_device("microscope")
    channel = OpticalChannel(name="green", description="green", emission_lambda=510.0)
    plane = file.create_imaging_plane(name="plane", optical_channel=channel, description="layer 2/3", device=device,
                                      excitation_lambda=920.0, indicator="GCaMP6f", location="V1")  # fmt: skip
    segmentation = ImageSegmentation()
    file.create_processing_module("ophys", "imaging").add(segmentation)
    segmentation.create_plane_segmentation(name="cells", description="none found", imaging_plane=plane)
    with NWBHDF5IO(folder / "day1.nwb", "w") as io:
        io.write(file)
    read(folder / "day1.nwb")


@case("Files", "a clock that runs backwards")
def _(folder):
    (folder / "day1.csv").write_text("time,a\n0.0,1\n0.2,1\n0.1,1\n0.3,1\n")
    read(folder / "day1.csv")


@case("Files", "a clock that stands still")
def _(folder):
    (folder / "day1.csv").write_text("time,a\n" + "5.0,1\n" * 50)
    read(folder / "day1.csv")


@case("Files", "a named pipe")
def _(folder):
    os.mkfifo(folder / "day1.npy")
    read(folder / "day1.npy", frame_rate_hz=30.0)


# recordings


@case("Recordings", "float16, big-endian, Fortran-ordered or strided values")
def _(folder):
    plain = traces()
    for other in (plain.astype(">f4"), np.asfortranarray(plain), np.repeat(plain, 2, axis=1)[:, ::2]):
        assert np.array_equal(from_array(other, 30.0, quantity="dff").values, plain)
    assert np.allclose(from_array(plain.astype(np.float16), 30.0, quantity="dff").values, plain, atol=0.01)
    return "read as the same recording"


@case("Recordings", "big-endian 32-bit counts of a camera, 10⁵ and more, taken for ΔF/F")
def _(folder):
    counts = (1e5 + 2e4 * traces()).astype(">i4")
    recording = from_array(counts, 30.0, quantity="dff")
    assert np.array_equal(recording, counts)
    return said(recording, "not-dff")


@case("Recordings", "infinite values")
def _(folder):
    values = traces()
    values[10, 2], values[20, 3] = np.inf, -np.inf
    recording = from_array(values, 30.0, quantity="dff")
    assert int(np.isnan(recording).sum()) == 2
    return f"noted: {recording.attrs['notes'][0]}"


@case("Recordings", "a single frame")
def _(folder):
    return said(from_array(traces()[:1], 30.0, quantity="dff"), "too-short")


@case("Recordings", "times in milliseconds that are called seconds")
def _(folder):
    recording = from_array(traces(), time=np.arange(3000) / 0.03, quantity="dff")
    return said(recording, "frame-rate-outside-range")


@case("Recordings", "no frame at all")
def _(folder):
    from_array(np.zeros((0, 3), np.float32), 30.0, quantity="dff")


@case("Recordings", "the same label for two neurons")
def _(folder):
    from_array(traces()[:, :2], 30.0, neuron=["a", "a"], quantity="dff")


@case("Recordings", "times that do not increase")
def _(folder):
    times = np.arange(3000) / 30.0
    times[100] = times[99]
    recording = from_array(traces(), 30.0, quantity="dff").assign_coords(time=times)
    return said(recording, "timestamps-duplicated")


@case("Recordings", "traces that are denoised already")
def _(folder):
    return found(np.apply_along_axis(np.convolve, 0, traces(), np.ones(9) / 9, mode="same"), "looks-denoised")


@case("Recordings", "ΔF/F in percent that is called a fraction")
def _(folder):
    return found(100 * traces(), "looks-percent")


@case("Recordings", "a neuron without a single value, and one that never changes")
def _(folder):
    values = traces()
    values[:, 0], values[:, 1] = np.nan, 1.0
    return said(from_array(values, 30.0, quantity="dff"), "empty-neurons", "constant-traces")


# model files


@case("Model files", "a model file cut short")
def _(folder):
    path = folder / "fit.safetensors"
    save_model(path, {"a": np.zeros(500)}, class_name="TwoNN", config={})
    path.write_bytes(path.read_bytes()[:-100])
    load_model(path)


@case("Model files", "a header that declares 10¹⁵ bytes")
def _(folder):
    (folder / "fit.safetensors").write_bytes((10**15).to_bytes(8, "little"))
    load_model(folder / "fit.safetensors")


@case("Model files", "a pickle called .safetensors")
def _(folder):
    (folder / "fit.safetensors").write_bytes(b"\x80\x04\x95 pickle")
    load_model(folder / "fit.safetensors")


@case("Model files", "the file of another method")
def _(folder):
    save_model(folder / "fit.safetensors", {"a": np.zeros(3)}, class_name="TwoNN", config={})
    ad.StitchedLDS.load(folder / "fit.safetensors")


# methods


@case("Points", "points with NaN")
def _(folder):
    points = np.random.default_rng(0).standard_normal((100, 3))
    points[4, 1] = np.nan
    ad.TwoNN().fit(points, progress=False)


@case("Points", "points that all have an exact copy")
def _(folder):
    ad.TwoNN().fit(np.repeat(np.random.default_rng(0).standard_normal((50, 3)), 2, axis=0), progress=False)


@case("Points", "two points")
def _(folder):
    ad.TwoNN().fit(np.eye(2), progress=False)


@case("Sessions", "an infinite value in a session")
def _(folder):
    values = np.random.default_rng(0).standard_normal((200, 5))
    values[3, 2] = np.inf
    model = ad.StitchedLDS(2, n_starts=1).fit({"a": (values, range(5))}, progress=False)
    return next(f"noted: {note}" for note in model.notes_ if "infinit" in note or "finite" in note)


@case("Sessions", "more latent dimensions than neurons")
def _(folder):
    values = np.random.default_rng(0).standard_normal((200, 3))
    ad.StitchedLDS(9).fit({"a": (values, range(3))}, progress=False)


@case("Simulators", "a prior whose bounds are exchanged")
def _(folder):
    ad.SNPE("npe", n_simulations=20).fit(lambda a: a, {"a": (1, 0)}, [0.0], progress=False)


@case("Simulators", "an observation that is not a number")
def _(folder):
    ad.SNPE("npe", n_simulations=20).fit(lambda a: a, {"a": (0, 1)}, [np.nan], progress=False)


@case("Simulators", "a simulator that always fails")
def _(folder):
    ad.SNPE("npe", n_simulations=20, diagnose=False).fit(lambda a: 1 / 0, {"a": (0, 1)}, [0.5], progress=False)
