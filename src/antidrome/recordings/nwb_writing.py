"""Results into NWB: ``RoiResponseSeries`` in ``processing/ophys`` that point at the ROI table of the recording.

Into a copy of the source file, into the file itself (a completed copy takes its place), or into a new file with a
minimal plane. The source's own data are never changed.
"""

import shutil
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import pynwb
import xarray as xr
from hdmf.common import DynamicTable, VectorData, VectorIndex
from pynwb.core import ScratchData
from pynwb.file import Subject
from pynwb.ophys import DfOverF, Fluorescence, ImageSegmentation, OpticalChannel, PlaneSegmentation, RoiResponseSeries

from antidrome.errors import FileFormatError, InputError
from antidrome.recordings.arguments import listing
from antidrome.recordings.axes import even_times
from antidrome.recordings.files import atomic_write
from antidrome.recordings.hdf5_writing import hdf5_writer
from antidrome.recordings.nwb import find_series
from antidrome.recordings.nwb_places import Place, places_in_source
from antidrome.recordings.nwb_results import (
    MARK,
    NEURON_TABLE,
    NO_SESSION,
    RECORD,
    ROI_TABLE,
    columns_of,
    description_of,
    held_result,
    quantities_of,
    record_of,
    result_groups,
    series_of,
)
from antidrome.recordings.nwb_values import fill, is_later, plain_values, stored_values
from antidrome.recordings.reading import is_format
from antidrome.recordings.safety import open_hdf5

_IDENTITY = ("identifier", "session_start_time")
_TABLE, _ROW = "roi_table", "roi_row"
_ROI_TABLE_OWN = ("id", "label", "roi_id", _TABLE, _ROW, "pixel_mask", "pixel_mask_index", "voxel_mask", "image_mask")
"""Names that mean something else in a ROI table, or are found anew in every one."""
_PLANE_DESCRIPTION = "One region of interest a neuron; its pixels are not known (a placeholder of weight zero)."


def write_nwb(result: xr.Dataset, path: Path, source: Path | None) -> None:
    """Write a result as NWB; see :func:`antidrome.recordings.write`."""
    refuse_lost(path, source, str(result.attrs.get("series") or ""), quantities_of(result))
    with atomic_write(path) as temporary:
        if source is None or _holds_only_ours(source):
            _write_new(result, temporary)
        else:
            _write_copy(result, temporary, source)
        fill(temporary, result)


def refuse_lost_recordings(path: Path) -> None:
    """InputError if there is an NWB file whose recordings are not in what would replace it."""
    if path.exists() and is_format(path, "nwb") and not _holds_only_ours(path):
        raise InputError(
            f"{path} exists and holds recordings that Antidrome did not write, which would be lost: choose another"
            " name, or in Python give it as source=, so that the result goes into it"
        )


def refuse_lost(path: Path, source: Path | None, series: str, quantities: Collection[str]) -> None:
    """InputError if a result that goes into a file (a copy of `source`) would replace recordings or another result.

    Parameters
    ----------
    path, source
        Where the result goes, and the NWB file of its recording, if that is one.
    series, quantities
        What the result is of, and what it has.
    """
    is_ours = source is not None and _holds_only_ours(source)
    if is_ours and path.exists() and path.samefile(source):
        raise InputError(f"{path} holds nothing but what Antidrome wrote, and would be replaced: write to another file")
    if source is None or is_ours or not is_copy(path, source):
        refuse_lost_recordings(path)
    elif path.exists():
        _refuse_lost_result(path, series, quantities)


def is_copy(path: Path, source: Path) -> bool:
    """Whether a file is the source, or was copied from it, or is not there."""
    if not path.exists() or path.samefile(source):
        return True
    return is_format(path, "nwb") and _identity(path) == _identity(source)


def _identity(path: Path) -> list[bytes]:
    """What no two NWB files have in common unless one is a copy: the identifier, and the start of the session."""
    with open_hdf5(path) as file:
        return [np.asarray(file[name][()]).astype(bytes).tobytes() for name in _IDENTITY if name in file]


def _refuse_lost_result(path: Path, series: str, quantities: Collection[str]) -> None:
    """InputError if a file holds a result of another series than the new one, or traces that this has not.

    Spikes take the place of spikes, whatever came with them.
    """
    held, names = held_result(path)
    is_kept = names <= set(quantities) or "expected_spikes" in names & set(quantities)
    if names and not (held == series and is_kept):
        of = f" of the series {held!r}" if held else ""
        raise InputError(
            f"{path} holds an earlier result ({listing(sorted(names))}){of}, which would be removed, since a file holds"
            " one result: write to another file"
        )


def _write_new(result: xr.Dataset, path: Path) -> None:
    nwbfile = pynwb.NWBFile(
        session_description="Spikes inferred by Antidrome; its start is not known and is the time of writing.",
        identifier=str(uuid4()),
        session_start_time=datetime.now(UTC),
        session_id=str(result.attrs.get("session_id") or NO_SESSION),
    )
    nwbfile.subject = Subject(
        subject_id="unknown",
        sex="U",
        age="P0D/",
        species="unknown",
        description="Not known: the recording came without metadata (the age means: zero days or more).",
    )
    region = _new_rois(nwbfile, result)
    _add_result(nwbfile, result, region)
    with hdf5_writer(path, "w") as writer, pynwb.NWBHDF5IO(file=writer.file, mode="w") as io:
        io.write(nwbfile)


def _write_copy(result: xr.Dataset, path: Path, source: Path) -> None:
    with open_hdf5(source):
        pass
    shutil.copyfile(source, path)
    _remove_earlier_result(path)
    try:
        with hdf5_writer(path, "r+") as writer, pynwb.NWBHDF5IO(file=writer.file, mode="a", load_namespaces=True) as io:
            nwbfile = io.read()
            region = _source_rois(nwbfile, result, source)
            _add_result(nwbfile, result, region)
            io.write(nwbfile)
    except (InputError, FileFormatError):
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise FileFormatError(f"{source} cannot take the results: {type(error).__name__}: {error}") from error


def _holds_only_ours(source: Path) -> bool:
    """Whether all traces of the file were written by this package (a simulation, say): nothing would be left of it."""
    with open_hdf5(source) as file:
        if f"scratch/{RECORD}" not in file:
            return False
    with pynwb.NWBHDF5IO(str(source), "r", load_namespaces=True) as io:
        return all(MARK in str(found.series.comments) for found in find_series(io.read()) if found.is_trace)


def _remove_earlier_result(path: Path) -> None:
    """Remove the series that an earlier run of this package left in (the copy of) the file; nothing else."""
    with hdf5_writer(path, "r+") as writer:
        file = writer.file
        if f"scratch/{RECORD}" in file:
            del file[f"scratch/{RECORD}"]
        ophys = file.get("processing/ophys")
        if not isinstance(ophys, h5py.Group):
            return
        for place in result_groups(ophys).values():
            holder = place.parent
            del ophys[place.name]
            if holder != ophys and not len(holder):
                del ophys[holder.name]


def _add_result(nwbfile: pynwb.NWBFile, result: xr.Dataset, region: Any) -> None:
    module = _ophys(nwbfile)
    clock = _clock(result["time"].values, result.attrs.get("frame_rate_hz"))
    for name, variable in series_of(result).items():
        _require_free(module, str(name))
        common = {
            "name": str(name),
            "unit": str(variable.attrs.get("units", "unknown")),
            "description": description_of(str(name)),
            "comments": f"{MARK}; its attributes are in scratch/{RECORD}.",
            "data": stored_values(variable),
            **clock,
        }
        if set(variable.dims) == {"time", "neuron"}:
            _add_series(module, variable, RoiResponseSeries(rois=region(), **common))
        else:
            module.add(pynwb.TimeSeries(**common))
    _add_neuron_table(module, result)
    record = ScratchData(
        name=RECORD, data=record_of(result), description=f"{MARK}: attributes of the result as JSON, to read it back."
    )
    nwbfile.add_scratch(record)


def _ophys(nwbfile: pynwb.NWBFile) -> Any:
    return nwbfile.processing.get("ophys") or nwbfile.create_processing_module(
        "ophys", "Optical physiology: traces of regions of interest, and the spikes inferred from them"
    )


def _add_neuron_table(module: Any, result: xr.Dataset) -> None:
    columns = columns_of(result)
    _require_free(module, NEURON_TABLE)
    module.add(
        DynamicTable(
            name=NEURON_TABLE,
            description=f"{MARK}: what was inferred of each neuron.",
            columns=[_vector(name, column) for name, column in columns.items()],
        )
    )


def _add_series(module: Any, variable: xr.DataArray, series: RoiResponseSeries) -> None:
    """Traces go into ``DfOverF`` or ``Fluorescence`` where the source has none, so that they read as what they are."""
    kind = str(variable.attrs.get("quantity", variable.name))
    container = {"dff": DfOverF, "fluorescence": Fluorescence}.get(kind)
    if container is None or container.__name__ in module.data_interfaces:
        module.add(series)
    else:
        holder = container(name=container.__name__)
        module.add(holder)  # first, so that the series' ROI table and the series are of one file
        holder.add_roi_response_series(series)


def _require_free(module: Any, name: str) -> None:
    if name in module.data_interfaces:
        raise InputError(f"the source's ophys module has an object {name!r} of its own: write to a new file instead")


def _unit_text(name: str, column: xr.DataArray) -> str:
    unit = column.attrs.get("units")
    return f"{name} of each neuron, in {unit}" if unit else f"{name} of each neuron"


def _column(column: xr.DataArray) -> Any:
    return np.zeros(column.shape, column.dtype) if is_later(column) else plain_values(column.values)


def _clock(time: np.ndarray, frame_rate_hz: float | None) -> dict[str, Any]:
    """Starting time and rate where reading makes the very same times of them, else a timestamp a frame."""
    rates = [] if frame_rate_hz is None else [float(frame_rate_hz)]
    if time[-1] > time[0]:
        rates.append(float((len(time) - 1) / (time[-1] - time[0])))
    for rate in rates:
        if np.array_equal(even_times(float(time[0]), rate, len(time)), time):
            return {"starting_time": float(time[0]), "rate": rate}
    return {"timestamps": np.asarray(time, dtype=np.float64)}


def _source_rois(nwbfile: pynwb.NWBFile, result: xr.Dataset, source: Path) -> Any:
    """A maker of regions of the source's ROI table for the neurons of the result."""
    places = places_in_source(nwbfile, result, source)
    rows, table = [place.row for place in places], places[0].table
    if all(place.table is table for place in places) and len(set(rows)) == len(rows):
        return _region_of(table, rows)
    return _rois_of_planes(nwbfile, places, result)


def _rois_of_planes(nwbfile: pynwb.NWBFile, places: Sequence[Place], result: xr.Dataset) -> Any:
    """A maker of regions of a new ROI table: a series points at one table only, and each plane has its own."""
    tables = [place.table for place in places]
    told = {
        _TABLE: ("ROI table of the plane of each neuron", [f"{table.parent.name}/{table.name}" for table in tables]),
        _ROW: ("row of each neuron in the ROI table of its plane", [place.row for place in places]),
    }
    segmentation = PlaneSegmentation(
        name=ROI_TABLE,
        description=f"{MARK}: neurons of several planes. The label names the series and the region in its ROI table,"
        f" {_TABLE} and {_ROW} its row there. The imaging plane is that of the first neuron; others may have others.",
        imaging_plane=tables[0].imaging_plane,
        columns=[*_roi_columns(result), *(VectorData(name=n, description=d, data=c) for n, (d, c) in told.items())],
    )
    _ophys(nwbfile).add(ImageSegmentation(name=f"{ROI_TABLE}_of_planes", plane_segmentations=[segmentation]))
    return _region_of(segmentation, list(range(len(places))))


def _region_of(table: PlaneSegmentation, rows: list[int]) -> Any:
    """A maker of regions of some rows of a table."""
    return lambda: table.create_roi_table_region(
        region=rows, description="the regions of interest whose spikes were inferred"
    )


def _new_rois(nwbfile: pynwb.NWBFile, result: xr.Dataset) -> Any:
    """A plane with one ROI a neuron: its label, and a pixel of weight zero since NWB demands some pixel."""
    device = nwbfile.create_device("Microscope", description="not known: the recording came without metadata")
    plane = nwbfile.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=OpticalChannel(
            name="OpticalChannel", description="not known: the recording came without metadata", emission_lambda=np.nan
        ),
        description="not known: the recording came without metadata",
        device=device,
        excitation_lambda=np.nan,
        indicator="unknown",
        location="unknown",
        imaging_rate=float(result.attrs.get("frame_rate_hz", np.nan)),
    )
    segmentation = PlaneSegmentation(
        name="PlaneSegmentation", description=_PLANE_DESCRIPTION, imaging_plane=plane, columns=_roi_columns(result)
    )
    module = nwbfile.create_processing_module("ophys", "Optical physiology: spikes inferred by Antidrome")
    module.add(ImageSegmentation(plane_segmentations=[segmentation]))
    return _region_of(segmentation, list(range(result.sizes["neuron"])))


def _roi_columns(result: xr.Dataset) -> list[Any]:
    """A pixel that stands for none, the label, and what the recording knew of each neuron, which reads back so."""
    labels = [str(label) for label in result["neuron"].values]
    pixels = np.zeros(len(labels), dtype=[("x", "u4"), ("y", "u4"), ("weight", "f4")])
    mask = VectorData(name="pixel_mask", description="one pixel of weight zero: the pixels are not known", data=pixels)
    index = VectorIndex(name="pixel_mask_index", data=np.arange(1, len(labels) + 1), target=mask)
    label = VectorData(name="label", description="label of the neuron", data=labels)
    known = {n: c for n, c in columns_of(result).items() if n in result.coords and n not in ("neuron", *_ROI_TABLE_OWN)}
    return [mask, index, label, *(_vector(name, column.compute()) for name, column in known.items())]


def _vector(name: str, column: xr.DataArray) -> VectorData:
    return VectorData(name=name, description=_unit_text(name, column), data=_column(column))
