"""The dimension of populations as a stage of the job."""

import numpy as np
import pytest

import antidrome as ad
from antidrome.errors import InputError
from antidrome.pipeline import RunConfig
from antidrome.pipeline.stages.dimension import DIMENSION
from antidrome.pipeline.stages.stage import Workplace
from antidrome.recordings.xarray_writing import write_netcdf


def test_files_that_called_the_conclusions_a_verdict_are_read(rng, tmp_path) -> None:
    found = ad.dimension.population(rng.normal(size=(200, 5)), n_draws=1, n_shuffles=1, progress=False)
    write_netcdf(found, tmp_path / "dimension.nc")
    now = DIMENSION.summarise(tmp_path, ["one"])
    assert now["sessions"][0]["conclusions"] == found.attrs["conclusions"]
    assert now["sessions"][0]["verdict"] == found.attrs["verdict"]
    early = {**found.attrs, "verdict": found.attrs["conclusions"], "reliability": found.attrs["verdict"]}
    del early["conclusions"]
    found.attrs = early
    write_netcdf(found, tmp_path / "dimension.nc")
    assert DIMENSION.summarise(tmp_path, ["one"]) == now


def test_a_session_that_is_too_small_costs_the_others_nothing(rng, tmp_path) -> None:
    def activity(n_neurons: int):
        made = ad.recordings.from_array(rng.gamma(1.0, 1.0, (300, n_neurons)), 10.0)
        return made.assign_attrs(notes=["a note on its bins"])

    place, config = Workplace(tmp_path, tmp_path / "scratch", None, show_progress=False), RunConfig()
    DIMENSION.compute({"large": activity(6), "tiny": activity(2)}, config, place)
    found = DIMENSION.summarise(tmp_path, ["large", "tiny"])
    assert [one["session_id"] for one in found["sessions"]] == ["large"]
    assert "a note on its bins" in found["sessions"][0]["notes"]
    assert np.isfinite(found["sessions"][0]["dimension"])
    assert found["notes"][0].startswith("tiny: ")
    assert "tiny: not measured." in str(DIMENSION.part(tmp_path, ["large", "tiny"]).sections["trust"])
    with pytest.raises(InputError, match=r"^one: .* two: "):
        DIMENSION.compute({"one": activity(2), "two": activity(2)}, config, place)
