"""The dimension of populations as a stage of the job."""

import antidrome as ad
from antidrome.pipeline.stages.dimension import DIMENSION
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
