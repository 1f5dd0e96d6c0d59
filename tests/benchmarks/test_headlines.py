"""Headlines are made from the figures, with the same measure for everybody, and say under which settings they hold."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
NAMES = sorted(path.stem for path in RESULTS.glob("*.json"))


def result_of(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def test_an_error_is_a_refusal_whoever_raises_it_and_another_number_is_silently_wrong():
    from benchmarks.tables.dimension import answers

    said = {"said": "All points are equal."}
    rows = [
        {"reference": 5.0, "said": "", "ours": 5.0, "dadapy": 8.0, "skdim": "ValueError: few", "faiss": None},
        {"reference": None, **said, "ours": None, "dadapy": "ValueError: NaN", "skdim": 1.0, "faiss": None},
    ]
    found = answers(rows)
    kinds = {name: {kind: count for kind, count in counts.items() if count} for name, counts in found.items()}
    assert kinds == {
        "ours": {"right": 1, "refused": 1},
        "DADApy": {"wrong": 1, "refused": 1},
        "scikit-dimension": {"wrong": 1, "refused": 1},
        "faiss": {"NaN": 2},
        "torch.cdist": {"absent": 2},
    }


def test_the_speed_is_that_over_the_fastest_peer_and_the_command_has_the_limit():
    from benchmarks.tables.headlines import command_of, headline_of

    def row(ours: float, *peers: float | None) -> dict:
        stopped = {"timed_out": True, "seconds": 200.0}
        times = [{"seconds": time} if time else stopped for time in peers]
        return {"ours": {"seconds": ours}, **dict(zip(("dadapy", "skdim", "faiss"), times, strict=True))}

    result = {
        "rows": [row(1.0, 2.0, 9.0, 9.0), row(1.0, 9.0, 3.0, 9.0), row(100.0, None, None, None)],
        "blocks": {"ours": {"seconds": 1.0}, "dadapy": {"seconds": 1.5}},
        "ratio_to_matmul": None,
        "peak_rss_gb": 1.0,
    }
    headline = headline_of("dimension_speed", result)
    assert "2.0 times as fast as the fastest peer of each size in the median over sizes, 1.5 times at worst" in headline
    assert "stopped after 200 s" in headline
    assert command_of("dimension_speed", result) == "python -m benchmarks.dimension_speed --limit 200"
    assert command_of("dimension_speed", {**result, "limit_s": 900.0}).endswith("--limit 900")


def test_headlines_of_the_committed_results_say_what_they_rest_on():
    from benchmarks.tables.headlines import HEADLINES, headline_of

    found = {name: headline_of(name, result_of(name)) for name in HEADLINES}
    assert re.search(r"first call and waiting for improvement included: \d+\.\d times", found["mechanism_speed"])
    assert "solver sketch" in found["dynamics_scale"]
    assert "latent dimensions of the simulation given" in found["load"]
    assert "0.31 at most" in found["mechanism_paper"]
    assert "test scores in view" in found["spikes_spikefinder"]
    assert "EM from there changes r by -0.534" in found["dynamics_real"]
    assert "CASCADE was trained on DS03–DS20" in found["spikes_ground_truth"]


@pytest.mark.parametrize("name", NAMES)
def test_a_result_holds_the_headline_that_the_readme_shows(name):
    from benchmarks.tables.headlines import headline_of

    result = result_of(name)
    assert result["headline"] == headline_of(name, result)


def test_adaptation_is_told_by_medians_and_by_means_with_the_worst_set_of_each():
    from benchmarks.tables.headlines import headline_of

    sets = {
        "DS01-a": {"before": {"mean_r": 0.5, "r_lag0": 0.5}, "after": {"mean_r": 0.4, "r_lag0": 0.5}},
        "DS25-SST-b": {"before": {"mean_r": 0.5, "r_lag0": 0.5}, "after": {"mean_r": 0.5, "r_lag0": 0.2}},
    }
    result = {"runs": {"folds": {"sets": sets, "median_count_ratio": 1.0}}, "peers": {"OASIS": {}}}
    headline = headline_of("spikes_adaptation", result)
    assert "by medians over neurons -0.150 on average, worst set -0.300 (DS25)" in headline
    assert "by means -0.050 on average, worst set -0.100 (DS01)" in headline


def test_a_mixture_that_is_behind_with_fewer_rounds_is_told():
    from benchmarks.tables.headlines import headline_of

    rows = [
        {"rounds": rounds, "method": method, "completed": completed, "divergence": divergence}
        for rounds, method, completed, divergence in (
            (1, "snpe-b", 1.0, 0.4),
            (1, "division", 1.0, 0.1),
            (2, "snpe-b", 1.0, 0.5),
            (2, "division", 0.5, 2.0),
        )
    ]
    assert headline_of("mechanism_paper", {"mixture": rows}) == (
        "mixture: 100% of runs completed in 2 rounds (division: 50%), KL divergence of those 0.50 (2.00), behind"
        " division with fewer rounds (0.40 against 0.10 at 1)."
    )


def test_the_readme_is_that_of_the_committed_results(source_tree):
    from benchmarks.readme import with_table

    text = (source_tree / "README.md").read_text("utf-8")
    assert with_table(text) == text


def test_default_settings_are_compared_with_the_same_size():
    from benchmarks.tables.headlines import headline_of

    size = {"p": 1000, "overlap": 0.1, "disk": False, "n_frames": 3000, "gigabytes_read": 0.1, "peak_gb": 1.0}
    rows = [size | {"seconds": 2.0, "unseen_r": 0.9}, size | {"seconds": 7.0, "unseen_r": 0.9, "settings": "defaults"}]
    assert "default settings take 3.5 times as long at 1,000" in headline_of("dynamics_scale", {"rows": rows})


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_the_peak_of_a_process_is_its_own(source_tree):
    held = np.ones(40_000_000)
    command = [sys.executable, "-c", "from benchmarks.processes import peak_gb; print(peak_gb())"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=source_tree)
    assert float(answer.stdout) < held.nbytes / 1e9


def test_a_gb_is_a_thousand_million_bytes_in_every_result(monkeypatch):
    from benchmarks import processes

    monkeypatch.setattr(processes, "peak_bytes", lambda: 2_500_000_000)
    assert processes.peak_gb() == 2.5
    peaks = [
        figure
        for name in ("dimension_speed", "dynamics_scale", "load", "spikes_speed")
        for figure in re.findall(r'"peak_(?:rss_)?gb": ([\d.]+)', (RESULTS / f"{name}.json").read_text("utf-8"))
    ]
    assert len(peaks) > 40
    pages = [float(peak) * 1e9 / 1024 for peak in peaks]
    assert pages == pytest.approx([round(page) for page in pages], abs=1e-3), (
        "the system counts in units of 1,024 bytes"
    )


def test_versions_of_peers_are_those_installed_here_or_in_their_own_environment(monkeypatch):
    from importlib.metadata import version

    from benchmarks import harness

    monkeypatch.setattr(harness, "version_elsewhere", {"apart": "3.4"}.get)
    assert harness.peer_versions(("numpy", "apart", "nowhere")) == {"numpy": version("numpy"), "apart": "3.4"}


def test_models_that_differ_are_found(tmp_path):
    from safetensors.numpy import save_file

    from benchmarks.end_to_end import differences

    for name, last in (("first", 1.0), ("same", 1.0 + 1e-9), ("other", 1.1)):
        (tmp_path / name).mkdir()
        save_file({"loadings": np.ones(3), "dynamics": np.array([last])}, tmp_path / name / "dynamics.safetensors")
    (tmp_path / "empty").mkdir()
    assert differences(tmp_path / "first", tmp_path / "same") == []
    assert differences(tmp_path / "first", tmp_path / "other") == ["dynamics.safetensors: dynamics"]
    assert differences(tmp_path / "first", tmp_path / "empty") == ["the names of the files"]


def test_a_constant_is_read_alone_or_among_others():
    from benchmarks.tables.table import constant

    assert constant("load", "N_FACTORS") == 5
    assert constant("dynamics_real", "EM_ITERATIONS") == 15
    with pytest.raises(KeyError, match="NOTHING in benchmarks/load"):
        constant("load", "NOTHING")
