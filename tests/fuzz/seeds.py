"""Small valid files and folders of every format that is read, from which the fuzzer starts.

``python tests/fuzz/seeds.py`` prints the formats. A folder is fuzzed one file at a time: an input's first byte says
which file, what follows is that file's content.
"""

import datetime
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from kept import KEPT

TRACES = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)


def abf(path: Path) -> None:
    """As pyabf writes it, which is without a command."""
    from pyabf.abfWriter import writeABF1

    writeABF1(TRACES.T.astype(np.float64), str(path), 10_000, units="mV")


def caiman(path: Path) -> None:
    """As CaImAn lays it out."""
    import h5py

    with h5py.File(path, "w", libver="latest") as file:
        file["dview"] = "NoneType"
        file["params/data/fr"] = 30.0
        file["estimates/F_dff"] = TRACES.T
        file["estimates/idx_components"] = np.array([0, 2])


def csv(path: Path) -> None:
    """A column for every neuron."""
    path.write_text("time,a,b\n" + "\n".join(f"{i / 30},{x},{y}" for i, (x, y, _) in enumerate(TRACES)) + "\n")


def hdf5(path: Path) -> None:
    """One compressed dataset."""
    import h5py

    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("dff", data=TRACES, chunks=(6, 3), compression="gzip")
        file["frame_rate"] = 30.0


def mat(path: Path) -> None:
    """MATLAB 5."""
    import scipy.io

    scipy.io.savemat(path, {"dff": TRACES, "frame_rate": 30.0})


def mat_struct(path: Path) -> None:
    """MATLAB 5, the traces in a struct and the labels in a cell array."""
    import scipy.io

    labels = np.array(["a", "b", "c"], dtype=object)
    scipy.io.savemat(path, {"data": {"dff": TRACES, "frame_rate": 30.0, "neuron": labels}})


def mat73(path: Path) -> None:
    """MATLAB 7.3: HDF5 behind 512 bytes of MATLAB's own."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        file["dff"] = TRACES
        file["dff"].attrs["MATLAB_class"] = np.bytes_("single")
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


def clamp_csv(path: Path) -> None:
    """A current-clamp recording as a table."""
    rows = [f"{i / 10},{-65 + x},{100 * (4 < i < 9)}" for i, (x, _, _) in enumerate(TRACES)]
    path.write_text("time_ms,voltage_mV,current_pA\n" + "\n".join(rows) + "\n")


def clamp_npz(path: Path) -> None:
    """The same as arrays, with two sweeps."""
    current = np.zeros((2, 12))
    current[:, 4:9] = 100
    np.savez(path, voltage_mV=-65 + TRACES.T[:2], current_pA=current, dt_ms=0.1)


def clamp_nwb(path: Path) -> None:
    """The same in NWB."""
    import pynwb
    from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

    start = datetime.datetime(2024, 5, 6, tzinfo=datetime.UTC)
    file = pynwb.NWBFile(session_description="a", identifier="a", session_start_time=start)
    electrode = file.create_icephys_electrode(
        name="electrode", description="patch", device=file.create_device("amplifier")
    )
    common = {"electrode": electrode, "gain": 1.0, "rate": 10_000.0, "starting_time": 0.0}
    current = np.where(np.arange(12) > 5, 1e-10, 0.0)
    file.add_acquisition(CurrentClampSeries(name="response", data=(TRACES[:, 0] - 65) / 1000, **common))
    file.add_stimulus(CurrentClampStimulusSeries(name="command", data=current, **common))
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file, cache_spec=False)


def ground_truth(path: Path) -> None:
    """Calcium imaging with electrically recorded spikes, in the public layout."""
    import scipy.io

    trial = {"fluo_time": np.arange(12) / 30, "fluo_mean": TRACES[:, 0], "events_AP": np.array([500.0, 1500.0])}
    trials = np.empty((1, 2), object)
    trials[0, :] = [trial, trial]
    scipy.io.savemat(path, {"CAttached": trials})


def netcdf4(path: Path) -> None:
    """NetCDF 4."""
    import xarray as xr

    recording = xr.Dataset({"dff": (("time", "neuron"), TRACES)}, coords={"time": np.arange(12) / 30})
    recording.to_netcdf(path, engine="h5netcdf")


def netcdf(path: Path) -> None:
    """NetCDF 3."""
    import xarray as xr

    xr.Dataset({"dff": (("time", "neuron"), TRACES)}).to_netcdf(path, engine="scipy", format="NETCDF3_CLASSIC")


def npy(path: Path) -> None:
    """An array."""
    np.save(path, TRACES)


def npz(path: Path) -> None:
    """An archive of arrays."""
    np.savez(path, dff=TRACES, frame_rate=30.0)


def nwb(path: Path) -> None:
    """ΔF/F of three ROIs, without the specification that most files carry, which only makes it larger."""
    import pynwb
    from pynwb.ophys import DfOverF, ImageSegmentation, OpticalChannel

    start = datetime.datetime(2024, 5, 6, tzinfo=datetime.UTC)
    file = pynwb.NWBFile(session_description="a", identifier="a", session_start_time=start)
    channel = OpticalChannel(name="channel", description="green", emission_lambda=510.0)
    plane = file.create_imaging_plane(
        name="plane", optical_channel=channel, description="a", device=file.create_device("microscope"),
        excitation_lambda=920.0, indicator="GCaMP6f", location="V1",
    )  # fmt: skip
    cells = ImageSegmentation()
    table = cells.create_plane_segmentation(name="cells", description="cells", imaging_plane=plane)
    for roi in range(3):
        table.add_roi(pixel_mask=[(roi, roi, 1.0)])
    traces = DfOverF()
    module = file.create_processing_module("ophys", "optical physiology")
    module.add(cells)
    module.add(traces)
    rois = table.create_roi_table_region(region=[0, 1, 2], description="all")
    traces.create_roi_response_series(name="dff", data=TRACES, unit="n.a.", rate=30.0, rois=rois)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file, cache_spec=False)


def ops(path: Path) -> None:
    """suite2p's settings, a pickle."""
    np.save(path, np.array({"fs": 30.0, "nframes": 12, "neucoeff": np.float32(0.7)}, dtype=object))


def suite2p(path: Path) -> None:
    """A plane's folder."""
    path.mkdir()
    np.save(path / "F.npy", TRACES.T)
    np.save(path / "Fneu.npy", TRACES.T / 2)
    np.save(path / "iscell.npy", np.array([[1, 0.9], [0, 0.2], [1, 0.8]]))
    ops(path / "ops.npy")


def toml(path: Path) -> None:
    """Settings of a run."""
    path.write_text('paths = ["a.nwb"]\nbin_s = 0.2\nstages = ["spikes"]\n')


def zarr2(path: Path) -> None:
    """A Zarr 2 store."""
    _zarr(path, 2)


def zarr3(path: Path) -> None:
    """A Zarr 3 store."""
    _zarr(path, 3)


def _zarr(path: Path, version: int) -> None:
    import xarray as xr

    recording = xr.Dataset({"dff": (("time", "neuron"), TRACES)}, coords={"time": np.arange(12) / 30})
    recording.to_zarr(path, zarr_format=version, consolidated=version == 2)


SEEDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "abf": (".abf", abf),
    "caiman": (".hdf5", caiman),
    "clamp_csv": (".csv", clamp_csv),
    "clamp_npz": (".npz", clamp_npz),
    "clamp_nwb": (".nwb", clamp_nwb),
    "csv": (".csv", csv),
    "ground_truth": (".mat", ground_truth),
    "hdf5": (".h5", hdf5),
    "mat": (".mat", mat),
    "mat_struct": (".mat", mat_struct),
    "mat73": (".mat", mat73),
    "netcdf": (".nc", netcdf),
    "netcdf4": (".nc", netcdf4),
    "npy": (".npy", npy),
    "npz": (".npz", npz),
    "nwb": (".nwb", nwb),
    "ops": (".npy", ops),
    "suite2p": ("", suite2p),
    "toml": (".toml", toml),
    "zarr2": (".zarr", zarr2),
    "zarr3": (".zarr", zarr3),
    **{kind: (kept.suffix, kept.write) for kind, kept in KEPT.items()},
}
"""Format to the ending of its name and what writes a seed."""


class Scratch:
    """Where inputs are laid out as files or folders, one after the other.

    Parameters
    ----------
    kind
        Format, a key of `SEEDS`.
    folder
        An empty folder.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        suffix, write = SEEDS[kind]
        self.path = folder / f"input{suffix}"
        write(self.path)
        self.files = sorted(file for file in self.path.rglob("*") if file.is_file()) if self.path.is_dir() else []
        self.valid = [file.read_bytes() for file in self.files or [self.path]]

    def inputs(self) -> list[bytes]:
        """The inputs that lay the seed out again."""
        return [bytes([i]) + data for i, data in enumerate(self.valid)] if self.files else self.valid

    def lay_out(self, data: bytes) -> None:
        """Write an input; in a folder every other file is the seed's."""
        if not self.files:
            self.path.write_bytes(data)
            return
        for file, valid in zip(self.files, self.valid, strict=True):
            if file.read_bytes() != valid:
                file.write_bytes(valid)
        if data:
            self.files[data[0] % len(self.files)].write_bytes(data[1:])


if __name__ == "__main__":
    sys.stdout.write(" ".join(SEEDS) + "\n")
