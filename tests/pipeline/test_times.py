"""Spikes and their times from one call: two files, and what an interruption between them leaves."""

import pytest

from antidrome.errors import InputError
from antidrome.pipeline import InferenceConfig, deconvolve


@pytest.fixture
def between(model, inputs, tmp_path, monkeypatch):
    """What an interruption after the times leaves; the arguments of the call."""

    def stops(*arguments, **options):
        raise KeyboardInterrupt

    call = {"output": tmp_path / "s.nc", "times": tmp_path / "t.csv", "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr("antidrome.pipeline.single.replace_result", stops)
        with pytest.raises(KeyboardInterrupt):
            deconvolve(inputs[0], **call)
    assert call["times"].exists()
    assert not call["output"].exists()
    return call


def test_both_files_come_from_one_inference(model, inputs, tmp_path):
    deconvolve(inputs[0], tmp_path / "s.nc", times=tmp_path / "t.csv", progress=False)
    assert model.calls == 3, "7 neurons, 3 a block"
    lines = (tmp_path / "t.csv").read_text("utf-8").splitlines()
    assert lines[0] == "neuron,time_s"
    assert len(lines[1].split(",")[1].split(".")[1]) == 5, "to 10 µs, however late"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs", "s.nc", "t.csv"]


def test_an_interrupted_call_goes_on(model, inputs, between):
    calls, written = model.calls, between["times"].stat().st_mtime_ns
    deconvolve(inputs[0], **between)
    assert (model.calls, between["times"].stat().st_mtime_ns) == (calls, written)
    with pytest.raises(InputError, match=r"s\.nc exists\. Choose another name with -o"):
        deconvolve(inputs[0], **between)
    between["output"].unlink()
    with pytest.raises(InputError, match=r"t\.csv exists\. Choose another name with --times"):
        deconvolve(inputs[0], **between)


def test_what_others_left_or_changed_is_refused(model, inputs, between):
    with pytest.raises(InputError, match=r"t\.csv exists"):
        deconvolve(inputs[0], config=InferenceConfig(seed=1), **between)
    between["times"].write_text("mine")
    with pytest.raises(InputError, match=r"t\.csv exists"):
        deconvolve(inputs[0], **between)
    assert between["times"].read_text() == "mine"
    deconvolve(inputs[0], config=InferenceConfig(overwrite=True), **between)
    assert between["times"].read_text("utf-8").startswith("neuron,")


def test_the_times_replace_neither_the_spikes_nor_the_recording(model, inputs, tmp_path):
    with pytest.raises(InputError, match="by -o and by --times"):
        deconvolve(inputs[0], tmp_path / "s.nc", times=tmp_path / "s.nc", progress=False)
    with pytest.raises(InputError, match="would replace the recording"):
        config = InferenceConfig(overwrite=True)
        deconvolve(inputs[0], tmp_path / "s.nc", config, times=inputs[0], progress=False)
