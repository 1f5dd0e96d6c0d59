"""Files made by the libraries that own their formats, and hand-made folders laid out as the tools lay them out."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

N_FRAMES, N_ROIS, RATE_HZ = 120, 6, 30.0


@pytest.fixture
def traces(rng: np.random.Generator) -> np.ndarray:
    """Six traces of 120 frames, float32, (time, neuron)."""
    return rng.normal(1.0, 0.2, (N_FRAMES, N_ROIS)).astype(np.float32)


@pytest.fixture
def make_nwb(tmp_path: Path) -> Callable[..., Path]:
    """Write an NWB file with pynwb: ``series`` maps "container/name" to (time, ROI) data."""

    def make(
        series: dict[str, np.ndarray],
        *,
        columns: dict[str, Any] | None = None,
        ids: list[int] | None = None,
        region: list[int] | None = None,
        timestamps: np.ndarray | None = None,
        starting_time: float = 0.0,
        unit: str = "n.a.",
        name: str = "session.nwb",
        n_rois: int = N_ROIS,
        **extra: Any,
    ) -> Path:
        import pynwb
        from pynwb.file import Subject
        from pynwb.ophys import DfOverF, Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries

        nwbfile = pynwb.NWBFile(
            session_description="a session made for a test",
            identifier="test-1",
            session_start_time=datetime(2024, 5, 6, 7, 8, tzinfo=UTC),
            session_id="mouse-7",
            subject=Subject(subject_id="m7", species="Mus musculus", sex="F", age="P90D", description="a test mouse"),
        )
        device = nwbfile.create_device("Microscope", description="two-photon")
        channel = OpticalChannel(name="OpticalChannel", description="green", emission_lambda=510.0)
        plane = nwbfile.create_imaging_plane(
            name="ImagingPlane", optical_channel=channel, description="layer 2/3", device=device,
            excitation_lambda=920.0, indicator="GCaMP6f", location="V1", imaging_rate=RATE_HZ,
        )  # fmt: skip
        segmentation = ImageSegmentation()
        table = segmentation.create_plane_segmentation(
            name="PlaneSegmentation", description="cells", imaging_plane=plane
        )
        for roi in range(n_rois):
            table.add_roi(pixel_mask=[(roi, roi, 1.0), (roi, roi + 1, 0.5)], id=None if ids is None else ids[roi])
        for column, values in (columns or {}).items():
            table.add_column(name=column, description=column, data=values)
        module = nwbfile.create_processing_module("ophys", "optical physiology")
        module.add(segmentation)
        containers: dict[str, Any] = {}
        for path, data in series.items():
            container, _, own = path.rpartition("/")
            rows = list(range(n_rois)) if region is None else region
            clock = {"timestamps": timestamps} if timestamps is not None else {
                "rate": RATE_HZ, "starting_time": starting_time}  # fmt: skip
            item = RoiResponseSeries(
                name=own, data=data, unit=unit, **clock, **extra,
                rois=table.create_roi_table_region(region=rows, description="all"),
            )  # fmt: skip
            if not container:
                module.add(item)
                continue
            if container not in containers:
                containers[container] = (DfOverF if container == "DfOverF" else Fluorescence)(name=container)
                module.add(containers[container])
            containers[container].add_roi_response_series(item)
        target = tmp_path / name
        with pynwb.NWBHDF5IO(str(target), "w") as io:
            io.write(nwbfile)
        return target

    return make


@pytest.fixture
def make_suite2p(tmp_path: Path) -> Callable[..., Path]:
    """Lay out a suite2p plane folder as its ``save`` functions do."""

    def make(
        fluorescence: np.ndarray,
        neuropil: np.ndarray | None = None,
        iscell: np.ndarray | None = None,
        ops: dict[str, Any] | None = None,
        folder: str = "m1/suite2p/plane0",
        settings_name: str = "ops.npy",
    ) -> Path:
        place = tmp_path / folder
        place.mkdir(parents=True)
        np.save(place / "F.npy", fluorescence)
        np.save(place / "spks.npy", np.zeros_like(fluorescence))
        if neuropil is not None:
            np.save(place / "Fneu.npy", neuropil)
        if iscell is not None:
            np.save(place / "iscell.npy", iscell)
        if ops is not None:
            np.save(place / settings_name, ops, allow_pickle=True)
        return place

    return make


@pytest.fixture
def make_caiman(tmp_path: Path) -> Callable[..., Path]:
    """Lay out an HDF5 file as CaImAn's ``save_dict_to_hdf5`` does: 'NoneType' for None, sparse matrices as groups."""

    def make(estimates: dict[str, Any], rate_hz: Any = RATE_HZ, name: str = "results.hdf5") -> Path:
        target = tmp_path / name
        with h5py.File(target, "w") as file:
            file["dview"] = "NoneType"
            file["params/data/dims"] = np.array([64, 64])
            file["params/data/decay_time"] = 0.4
            if rate_hz is not None:
                file["params/data/fr"] = rate_hz
            for part, values in {"data": [1.0], "indices": [0], "indptr": [0, 1], "shape": [4096, 1]}.items():
                file[f"estimates/A/{part}"] = np.array(values)
            for key, value in estimates.items():
                file[f"estimates/{key}"] = "NoneType" if value is None else value
        return target

    return make


@pytest.fixture
def result(rng: np.random.Generator) -> xr.Dataset:
    """A result such as spike inference returns, with every kind of variable and attribute."""
    spikes = rng.gamma(0.5, 0.3, (N_FRAMES, N_ROIS)).astype(np.float32)
    dims = ("time", "neuron")
    return xr.Dataset(
        {
            "expected_spikes": (dims, spikes, {"units": "spikes per frame", "long_name": "expected spikes"}),
            "rate_hz": (dims, spikes * np.float32(RATE_HZ), {"units": "spikes/s"}),
            "spike_probability": (dims, 1 - np.exp(-spikes), {"units": "1"}),
            "expected_spikes_sd": (dims, np.sqrt(spikes), {"units": "spikes per frame"}),
            "samples": (("sample", *dims), rng.poisson(spikes, (3, *spikes.shape)).astype(np.int32)),
            "noise_level": ("neuron", rng.random(N_ROIS), {"units": "% Hz^-1/2"}),
            "tau_s": ("neuron", rng.random(N_ROIS), {"units": "s"}),
        },
        coords={
            "time": (np.arange(N_FRAMES) + 0.5) / RATE_HZ,
            "neuron": [str(i) for i in range(N_ROIS)],
            "good": ("neuron", np.arange(N_ROIS) % 2 == 0),
            "area": ("neuron", ["V1", "V1", "LM", "LM", "é", ""]),
        },
        attrs={
            "findings": '[{"id": "too-noisy", "neurons": ["1"]}]',
            "frame_rate_hz": RATE_HZ,
            "model": "default",
            "notes": ["3 frames masked", "one more"],
            "citations": "[]",
            "seed": 4,
            "empty": [],
        },
    )


@pytest.fixture
def save_mat73() -> Callable[[Path, dict[str, Any]], None]:
    """Write a file as MATLAB's ``save -v7.3`` does: text, then HDF5 with axes reversed, cells as references."""

    def put(group: h5py.Group, name: str, value: Any) -> None:
        if isinstance(value, dict):
            group.create_group(name).attrs["MATLAB_class"] = np.bytes_("struct")
            for field, member in value.items():
                put(group[name], field, member)
            return
        kind, stored = "double", np.atleast_2d(value).T if not isinstance(value, (str, list)) else None
        if isinstance(value, str):
            kind, stored = "char", np.frombuffer(value.encode("utf-16-le"), "u2")[:, None]
        elif isinstance(value, list):
            cells = group.file.require_group("#refs#")
            for number, member in enumerate(value):
                put(cells, f"{name}{number}", member)
            references = [cells[f"{name}{number}"].ref for number in range(len(value))]
            kind, stored = "cell", np.array(references, h5py.ref_dtype)[:, None]
        group[name] = stored
        group[name].attrs["MATLAB_class"] = np.bytes_(kind)

    def save(path: Path, content: dict[str, Any]) -> None:
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, value in content.items():
                put(file, name, value)
        with open(path, "r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM")

    return save
