"""The page of measured tables: every result with named columns, stopped runs as such, and who is ahead in words."""

import json
import re
from pathlib import Path

import pytest

from antidrome import data

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
NAMES = sorted(path.stem for path in RESULTS.glob("*.json"))


def result_of(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def text_of(name: str) -> str:
    from benchmarks.tables import tables_of

    return "\n".join(table.markdown() for table in tables_of(name, result_of(name)))


def test_the_page_is_that_of_the_committed_results():
    from benchmarks.comparison import PAGE, page

    assert PAGE.read_text("utf-8") == page()


@pytest.mark.parametrize("name", NAMES)
def test_every_result_is_shown_in_tables_that_a_person_reads(name):
    lines = [line for line in text_of(name).splitlines() if line.startswith("|")]
    assert lines
    assert max(line.count("|") for line in lines) <= 10
    assert not any(re.search(r"[\[{]|\b(nan|None)\b", line) for line in lines), "lists and mappings are no figures"


@pytest.mark.parametrize(
    ("name", "peers"),
    [
        ("dimension_exactness", ["DADApy", "scikit-dimension", "faiss", "torch.cdist"]),
        ("dimension_speed", ["DADApy, s", "scikit-dimension, s", "faiss, s", "bare matrix product, s"]),
        ("dynamics_real", ["FA, r", "FA, our shrinkage, r", "EM from random, r", "ours, slope"]),
        ("dynamics_reference", ["zero-lag FA", "PCA", "EM from random", "dynamax EM", "DynamicFactorMQ"]),
        ("end_to_end", ["one process, s"]),
        ("mechanism_paper", ["SMC-ABC", "division, divergence", "without"]),
        ("mechanism_sbibm", ["SNLE, published", "NPE, published", "mean of 7"]),
        ("mechanism_speed", ["sbi, training, s", "sbi, held-out log density", "sbi, sampling, s"]),
        ("spikes_adaptation", ["CASCADE", "OASIS", "r before"]),
        ("spikes_calibration", ["factorised", "coverage, not silent"]),
        ("spikes_ground_truth", ["CASCADE", "OASIS"]),
        ("spikes_speed", ["OASIS, µs a frame"]),
        ("spikes_spikefinder", ["antidrome, unseen", "deneux", "chenkov", "oopsi"]),
        ("spikes_training", ["PyTorch, steps/s"]),
        ("spikes_unsupervised", ["paper, r", "paper, time, min"]),
    ],
)
def test_the_peers_are_in_the_tables(name, peers):
    shown = {part.strip() for line in text_of(name).splitlines() if line.startswith("|") for part in line.split("|")}
    missing = [peer for peer in peers if not any(part.startswith(peer) or part.endswith(peer) for part in shown)]
    assert not missing


def test_a_peer_that_was_stopped_is_no_measured_factor():
    largest = next(line for line in text_of("dimension_speed").splitlines() if line.startswith("| 1,000,000 |"))
    assert largest.count("> 200 ") == 3
    result = result_of("dimension_speed")
    ours = next(row["ours"]["seconds"] for row in result["rows"] if row["points"] == 1_000_000)
    assert largest.endswith(f"| > {result['limit_s'] / ours:.3g} |")


def test_where_a_peer_is_better_the_words_say_so():
    assert "OASIS: behind in all 2" in text_of("spikes_speed")
    assert "Sampling, ours beside sbi: behind in all 2" in text_of("mechanism_speed")
    assert "behind in 2 (worms 4, C6_M4_envB 1)" in text_of("dynamics_real")


def test_every_set_has_the_peers_medians_beside_ours_and_the_sentence_who_is_ahead():
    result, text = result_of("spikes_ground_truth"), text_of("spikes_ground_truth")
    assert set(result["peers_by_set"]) == set(result["sets"])
    for peer, means in result["peers"].items():
        for key in ("r_lag0", "r_learnt_lag", "r_smooth"):
            found = [row[peer][key] for row in result["peers_by_set"].values()]
            assert sum(found) / len(found) == pytest.approx(means[key])
    ours, theirs = result["sets"], result["peers_by_set"]
    ahead = [name.split("-")[0] for name in ours if theirs[name]["CASCADE"]["r_lag0"] > ours[name]["r_lag0"]]
    assert f"behind in {len(ahead)} ({', '.join(ahead)})" in text
    assert "run by inference code of our own" in text
    assert "guessed for each indicator" in text


def test_what_adaptation_changes_in_interneurons_is_computed():
    from benchmarks.tables import tables_of

    def row(before: float, after: float) -> dict:
        return {"before": {"mean_r": before, "r_lag0": before}, "after": {"mean_r": after, "r_lag0": after}}

    methods = dict.fromkeys(("r_lag0", "r_learnt_lag", "r_smooth", "count_ratio"), 0.5)
    sets = {"DS1-PV-a": row(0.5, 0.3), "DS2-SST-b": row(0.5, 0.5), "DS3-c": row(0.5, 0.6)}
    runs = {"folds": {"before": methods, "after": methods, "sets": sets}}
    *_, table = tables_of("spikes_adaptation", {"runs": runs, "peers": {"OASIS": methods}})
    assert "On average it changes by -0.100 in 2 sets of interneurons and by +0.100 in the 1 others." in table.words[0]


def test_a_peer_of_one_seed_is_compared_on_that_seed():
    text = text_of("dynamics_reference")
    rows = [row for row in result_of("dynamics_reference")["rows"] if row["seed"] == 0 and row["data"] == "full"]
    r = {row["method"]: row["unseen_r"] for row in rows}
    assert f"unseen r {r['StitchedLDS']:.3f} against {r['dynamax EM']:.3f}." in text
    assert text.count("r of unseen pairs by seed") == 2, "fully observed, too"


def test_settings_that_are_no_defaults_are_told():
    assert "default 10 rounds of 1,000; snpe-b 8,000 + 2,000" in text_of("mechanism_sbibm")
    assert "`SNPE()` has 5 rounds of 1,000" in text_of("mechanism_sbibm")
    assert "epochs 300, batch 100" in text_of("mechanism_paper")
    assert "ex2 from the initial values of the paper's model, and its rate of 0.9 Hz" in text_of("spikes_unsupervised")


def test_what_is_called_the_default_is_that_of_the_estimator():
    from antidrome.mechanism import SNPE
    from antidrome.mechanism.plans import METHODS
    from benchmarks.tables.table import constant

    usual = constant("mechanism_sbibm", "USUAL_ROUNDS")
    assert usual == {method: METHODS[method].n_rounds for method in usual}
    assert constant("mechanism_sbibm", "USUAL_SIMULATIONS") == SNPE().n_simulations


def test_the_versions_of_the_peers_close_a_section():
    from benchmarks.comparison import page

    result = result_of("mechanism_speed")
    assert f"s; beside sbi {result['peer_versions']['sbi']}, torch {result['peer_versions']['torch']}." in page()


def test_a_result_without_named_columns_is_refused():
    from benchmarks.tables import tables_of

    with pytest.raises(SystemExit, match=r"results/new\.json: no columns are named"):
        tables_of("new", {"rows": [{"r": 1.0}]})
    with pytest.raises(SystemExit, match=r"results/load\.json does not hold 'rows'"):
        tables_of("load", {})


@pytest.mark.parametrize(
    ("columns", "rows", "sentence"),
    [
        ({"r": "r"}, [{"r": 1.0}] * 41, "41 rows and 1 columns"),
        ({f"r {i}": "r" for i in range(10)}, [{"r": 1.0}], "1 rows and 10 columns"),
        ({"r": "r", "gain": "gain_over_fa"}, [{"r": 1.0}], "no figure in its column 'gain'"),
        ({"r": "r"}, [], "no rows"),
    ],
)
def test_a_table_that_nobody_can_read_is_refused(columns, rows, sentence):
    from benchmarks.tables.table import Table

    with pytest.raises(SystemExit, match=sentence):
        Table("A row is a thing.", columns, rows).markdown()


def test_cells_have_three_digits_and_errors_their_kind():
    from benchmarks.tables.table import AtLeast, cell

    contents = [0.66, 25.0, 999.7, 1234.5, 5000, 1e-5, 159.4, AtLeast(200), None, True, "ValueError: a | b", "a | b"]
    expected = [
        "0.660",
        "25",
        "1,000",
        "1,234",
        "5,000",
        "1.00e-05",
        "159",
        "> 200",
        "–",
        "yes",
        "ValueError",
        "a \\| b",
    ]
    assert [cell(content) for content in contents] == expected


def test_medians_say_over_how_many_and_leave_out_what_is_not_known():
    from benchmarks.tables.table import medians

    records = [{"kind": "a", "x": {"s": s}, "y": None} for s in (1.0, 2.0, 9.0, None)] + [
        {"kind": "b", "x": {"s": 4.0}}
    ]
    first, second = medians(records, ["kind"], ["x/s", "y"])
    assert first == {"kind": "a", "n": 4, "x_s": 2.0, "y": None}
    assert second["n"] == 1


def test_beside_counts_only_rows_with_both_and_names_the_lost_ones():
    from benchmarks.tables.table import beside

    rows = [
        {"set": "a", "ours": 2.0, "fa": 1.0, "em": None},
        {"set": "b", "ours": 1.0, "fa": 2.0, "em": None},
        {"set": "c", "ours": 1.0, "fa": 1.0001, "em": 2.0},
    ]
    found = beside("r", rows, "ours", {"FA": "fa", "EM": "em", "absent": "none"}, name="set")
    assert found == "r, ours beside FA: ahead in 1 of 3, level in 1 (c), behind in 1 (b); EM: behind in the only one."
    many = [{"set": str(i), "ours": float(i < 6), "fa": float(i > 0)} for i in range(7)]
    assert "behind in 1 (0)" in beside("t", many, "fa", {"ours": "ours"}, name="set")
    stopped = [
        {"set": "a", "ours": {"seconds": s}, "fa": {"timed_out": True, "seconds": 200.0}} for s in (105.0, 250.0)
    ]
    assert "FA: ahead in the only one" in beside(
        "t", stopped, "ours/seconds", {"FA": "fa/seconds"}, name="set", more=False
    )


def test_ranked_says_the_place_and_whether_it_is_a_tie():
    from benchmarks.tables.table import ranked

    figures = {"ours": 0.3272, "theirs": 0.3268, "third": 0.1, "none": None}
    assert ranked("r", figures, "ours") == "r: ours 0.327, place 1 of 3 (best other: theirs 0.327; level)."
    assert ranked("s", figures, "ours", more=False) == "s: ours 0.327, place 2 of 3 (best other: third 0.100)."


def test_the_data_of_every_benchmark_are_in_the_registry(source_tree):
    from benchmarks.tables import DATA, TABLES

    assert set(DATA) < set(TABLES)
    assert {name for names in DATA.values() for name in names} <= set(data.datasets())
    reading = {path.stem for path in (source_tree / "benchmarks").glob("*.py") if "data_folder()" in path.read_text()}
    assert reading - {"harness"} <= set(DATA)


def test_benchmarks_take_data_but_no_code_from_the_data_folder(source_tree):
    for path in (source_tree / "benchmarks").rglob("*.py"):
        assert not re.search(r"sys\.path|spec_from_file_location|import_module", path.read_text("utf-8")), path
