"""The fuzzer starts from a valid file of every kind, reaches every reader, and lays its inputs out as it says."""

import ast
import contextlib
import importlib.util
import pathlib
import sys

import pytest

import antidrome
from antidrome.errors import InputError
from antidrome.recordings.reading import _READERS, detect_format

HERE = pathlib.Path(__file__).parent


def _load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KEPT = _load("kept").KEPT
SEEDS = _load("seeds")
READERS = _load("readers")
NAMES = {"zarr2": "zarr", "zarr3": "zarr", "ops": "settings of suite2p", "netcdf4": "netcdf"}
OPENERS = {
    "File", "Reader", "DictReader", "load_dataset", "load_file", "load_model", "load_npy", "load_npz",
    "loadmat", "loads", "memmap", "open_dataset", "open_hdf5", "open_memmap", "open_zarr", "read_bytes",
    "read_checkpoint", "read_header", "read_json", "read_text", "reader",
}  # fmt: skip
LOADS = {"np.load", "json.load", "tomllib.load"}
"""Calls that make something of what a file holds: by the last part of their names, and by the whole."""
UNREACHED = {
    "asks one file twice, before or after it is read by what is reached": """
        cli/mechanism_opening.py digest_of; mechanism/simulate/records.py _end_of_records;
        mechanism/simulate/store.py __init__, simulator_of; pipeline/model.py model_hash; pipeline/single.py deconvolve;
        recordings/current_clamp/reading.py holds_voltage; recordings/xarray_loss.py _stored_arrays;
        recordings/nwb_results.py held_result; recordings/nwb_writing.py _holds_only_ours, _identity;
        recordings/suite2p_writing.py _places; recordings/xarray_groups.py open_netcdf_group;
        recordings/sources.py __getitem__; dimension/reading.py _netcdf; dimension/points.py _reopen;
        spikes/opening.py open_model; cli/dimension_layers.py read_array
    """,
    "a damaged file counts as none, and its content is made again": """
        cli/starting_anew.py _go_on; pipeline/cache.py _is_of_use, _set_aside, cached_blocks, known, has, _opened,
        left_out; recordings/xarray_loss.py _names;
        pipeline/entering.py refuse_other_recordings; pipeline/job.py run; pipeline/settings_file.py moved_from;
        pipeline/single.py _are_ours; dimension/networks/saved_estimates.py __init__;
        dimension/networks/store.py _takes_names_of
    """,
    "a file of the package or of the system": """
        data/catalogue.py datasets, _file; dynamics/memory.py available_bytes; pipeline/planning.py plan;
        spikes/weights/__init__.py load_network, stored_arrays
    """,
    "a model file, whose checksum is looked at first": """
        core/checkpoint.py restore; dynamics/preparation.py load_sketch
    """,
    "writes, or reads a text of its own": """
        recordings/hdf5_writing.py hdf5_writer; recordings/nwb_writing.py _write_copy;
        recordings/xarray_writing.py write_netcdf;
        pipeline/infer.py _once; pipeline/summary.py run_summary;
        mechanism/simulate/store.py _as_read; mechanism/simulate/worker.py main, read_frame
    """,
    "needs PyTorch, or is one number to a row": "cli/dimension_layers.py _with_weights, _read_accuracy",
}
"""Why a function that opens files is reached by no seed, and which (file and functions)."""


def test_every_format_that_is_read_is_fuzzed():
    assert {NAMES.get(kind, kind) for kind in SEEDS.SEEDS} >= set(_READERS)


def _opening():
    """(file, function) of all that opens files in the package."""
    package = pathlib.Path(antidrome.__file__).parent
    for path in package.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                called = [ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)]
                if any(name in LOADS or name.rpartition(".")[2] in OPENERS for name in called):
                    yield path.relative_to(package).as_posix(), function.name


@contextlib.contextmanager
def _watched(called):
    """Note (file, function) of every call within the package."""
    package = f"{pathlib.Path(antidrome.__file__).parent}/"

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(package):
            called.add((frame.f_code.co_filename.removeprefix(package), frame.f_code.co_name))

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


@pytest.mark.slow
def test_every_function_that_opens_files_is_reached(tmp_path):
    """A reader that nobody fuzzes is found by what it calls: add a seed, or say above why it needs none."""
    called = set()
    for kind in SEEDS.SEEDS:
        if kind == "abf":  # pyabf is not installed everywhere
            continue
        (tmp_path / kind).mkdir()
        scratch = SEEDS.Scratch(kind, tmp_path / kind)
        with _watched(called):
            READERS.target(kind, scratch.path)
    told = {
        (part.split()[0], name.strip(","))
        for parts in UNREACHED.values()
        for part in parts.split(";")
        for name in part.split()[1:]
    }
    opening = set(_opening())
    unreached = {one for one in opening - called if "abf" not in one[0]}
    assert sorted(unreached - told) == []
    assert sorted(told - opening) == [], "gone: no longer to be told"


HEAVY = {"fit_checkpoint", "judgement", "run_folder", "snpe", "spike_vae", "stitched_lds"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind in HEAVY else []) for kind in SEEDS.SEEDS]
)
def test_a_seed_is_read(kind, tmp_path):
    if kind == "abf":
        pytest.importorskip("pyabf")
    scratch = SEEDS.Scratch(kind, tmp_path)
    for data in scratch.inputs():
        scratch.lay_out(data)
        if kind == "abf":  # pyabf cannot write a command
            with pytest.raises(InputError, match="neither a recorded current nor the command"):
                READERS.target(kind, scratch.path)
        else:
            READERS.target(kind, scratch.path)
    if NAMES.get(kind, kind) in _READERS:
        assert detect_format(scratch.path) == NAMES.get(kind, kind)


def test_one_file_of_a_folder_is_another_at_a_time(tmp_path):
    scratch = SEEDS.Scratch("suite2p", tmp_path)
    scratch.lay_out(b"\x01bad")
    scratch.lay_out(b"\x02worse")
    assert [file.read_bytes() == valid for file, valid in zip(scratch.files, scratch.valid, strict=True)] == [
        True,
        True,
        False,
        True,
    ]
