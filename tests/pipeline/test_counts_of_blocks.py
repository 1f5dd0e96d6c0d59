"""What is counted block by block is said once, of all neurons."""

import dataclasses

from antidrome.pipeline import RunConfig, run
from antidrome.recordings import read_spikes, write
from antidrome.spikes.same_cells import notes_on_others


def test_other_cells_of_all_blocks_are_counted_once(model, helpers, tmp_path, monkeypatch):
    plain = model.predict

    def predict(recording, **options):
        found = plain(recording, **options)
        n = int((recording["neuron"].values.astype(str) < "5").sum())
        notes = [*recording.attrs.get("notes", []), *notes_on_others(n)]
        return found.assign_attrs(notes=notes, **({"other_cells": n} if n else {}))

    monkeypatch.setattr(model, "predict", predict)
    path = write(helpers.recording(0), tmp_path / "day.nc")
    config = dataclasses.replace(RunConfig(format="netcdf"), force=True)
    session = run([path], tmp_path / "out", config, progress=False)["sessions"][0]
    assert model.calls > 1
    told = [note for note in session["notes"] if "number of a fitted cell" in note]
    assert told == notes_on_others(5)
    assert "other_cells" not in read_spikes(tmp_path / "out" / session["result"]["file"]).attrs
