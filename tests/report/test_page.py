"""The page as text: self-contained, escaped, under a strict policy."""

import base64
import hashlib
import html
import html.parser
import json
import os
import re

import pytest

from antidrome.errors import InputError
from antidrome.report import RunInfo, session_views, spikes_report, write_page
from antidrome.report.embed import island, script
from antidrome.report.session import session_view
from antidrome.report.trust import model_statements, session_statements

HOSTILE = "</script><img src=x onerror=alert(1)>"
RUN = RunInfo(title="A run", lede="…", created="2026-01-01 00:00", versions={"antidrome": "0.1.0"})
SECTIONS = ["What was run", "Checks", "Results", "How far to trust it", "Data tables", "Citations"]


class Tags(html.parser.HTMLParser):
    """Collects the tags of a page, and the texts of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self._open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = dict(attrs).get("type", "text/javascript") if tag == "script" else None
        if tag == "script":
            self.scripts.append((self._open, ""))

    def handle_data(self, data):
        if self._open:
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)

    def handle_endtag(self, tag):
        self._open = None


@pytest.fixture
def page(fake_spikes):
    return spikes_report([fake_spikes()], RUN)


def test_the_first_sentence_states_the_units(page):
    body = re.sub(r"<[^>]+>", " ", page[page.index("<main") :])
    assert " ".join(body.split()).startswith("Spikes are expected spikes per frame; rates in spikes/s.")


def test_every_section_is_there_in_order(page):
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", page) == SECTIONS


def test_nothing_points_outside_the_file(page):
    for tag, attrs in Tags(page).tags:
        for name in ("src", "href", "action", "data", "poster"):
            assert attrs.get(name, "#").startswith("#"), (tag, attrs)


def test_the_policy_names_every_script_and_allows_no_other(page):
    parsed = Tags(page)
    policy = next(a["content"] for t, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    allowed = re.search(r"script-src ([^;]+)", policy)[1]
    code = [text for kind, text in parsed.scripts if kind == "text/javascript"]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in code}
    assert set(allowed.split()) == hashes
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


@pytest.mark.parametrize("where", ["neuron", "session_id", "source", "notes", "finding", "title", "command", "config"])
def test_hostile_text_stays_text(fake_spikes, where):
    finding = {"id": HOSTILE, "severity": HOSTILE, "message": HOSTILE, "fix": HOSTILE, "neurons": [HOSTILE]}
    made = {
        "neuron": {"neuron": [HOSTILE, "b", "c", "d"]},
        "session_id": {"session_id": HOSTILE},
        "source": {"source": HOSTILE},
        "notes": {"notes": [HOSTILE]},
        "finding": {"findings": [finding]},
    }.get(where, {})
    told = {"title": {"title": HOSTILE}, "command": {"command": HOSTILE}, "config": {"config": {HOSTILE: HOSTILE}}}
    run = RunInfo(**({"title": "", "lede": "", "created": "", "versions": {"antidrome": "1"}} | told.get(where, {})))
    text = spikes_report([fake_spikes(**made)], run)
    assert "img" not in {tag for tag, _ in Tags(text).tags}
    assert HOSTILE not in text
    assert html.escape(HOSTILE) in text or "\\u003cimg" in text


def test_islands_survive_a_round_trip_and_never_end_their_element():
    data = {"a": ["</script>", "<!--", "&amp;", "\u2028é"], "b": 1.5}
    text = str(island(data))
    assert json.loads(text) == data
    assert "<" not in text
    with pytest.raises(ValueError, match="JSON"):
        island(float("nan"))
    with pytest.raises(ValueError, match="inline script"):
        script("x = '</SCRIPT>'")


def test_a_recording_is_told_by_its_place_in_the_working_folder(fake_spikes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = spikes_report([fake_spikes(source=str(tmp_path / "data" / "day.nwb"))], RUN)
    assert os.path.join("data", "day.nwb") in text
    assert str(tmp_path) not in text


def test_decimation_and_the_cap_are_said(fake_spikes):
    text = spikes_report([fake_spikes(8, 3000)], RUN, max_neurons=4, max_bins=4000)
    assert "Drawn in bins of 3 frames" in text
    assert "4 of 8 neurons, evenly spread; the files hold all" in text


def test_a_result_without_uncertainty_or_trace_has_a_page(fake_spikes):
    bare = fake_spikes()[["expected_spikes"]]
    text = spikes_report([bare], RUN)
    assert "posterior SD, cut at 0" not in text
    assert "–" in text


def test_sessions_share_the_page(fake_spikes):
    text = spikes_report([fake_spikes(), fake_spikes(seed=1, session_id="other")], RUN)
    assert 'id="session"' in text
    assert ">other<" in text


def test_no_result_no_page():
    with pytest.raises(InputError, match="no result"):
        spikes_report([], RUN)


def test_the_file_is_the_page(fake_spikes, tmp_path):
    write_page(tmp_path / "report.html", session_views([fake_spikes()]), RUN)
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_trust_quotes_the_card_and_nothing_else(fake_spikes):
    view = session_view(fake_spikes())
    silent = " ".join(s.text for s in [*session_statements(view, {}), *model_statements({})])
    assert "states no measured accuracy" in silent
    assert "trained on" not in silent
    card = {
        "noise_level_range": [0.0, 0.5],
        "frame_rate_hz_range": [3, 20],
        "reached": {"mean_r_lag0": 0.123, "n_sets": 7},
    }
    told = [*session_statements(view, card), *model_statements(card)]
    text = " ".join(s.text for s in told)
    assert "0.12 frame by frame" in text
    assert "on 7 recordings" in text
    assert "4 neurons of 4 outside the 0–0.5" in text
    assert sum(s.level == "care" for s in told) == 2


def test_an_error_found_is_a_problem_for_trust(fake_spikes):
    finding = {"id": "x", "severity": "error", "message": "m", "fix": "f", "neurons": []}
    assert session_statements(session_view(fake_spikes(findings=[finding])), {})[0].level == "bad"


def test_names_that_look_like_ids_stay():
    from bokeh.plotting import figure

    from antidrome.report.embed import figures_json

    def made():
        plot = figure(title="p1")
        plot.line([0, 1], [1, 2], legend_label="p2", name="p3")
        plot.scatter(x="x", y="y", source={"x": [1], "y": [2], "id": ["p4"], "say": ['"id": "p5"']})
        return figures_json({"first": plot})

    one, other = made(), made()
    assert one == other, "ids count on through a process"
    text = json.dumps(one)
    assert all(name in text for name in ('"p1"', '"p2"', '"p3"', '"p4"', "p5"))
    assert list(one["roots"].values()) == ["first"]
    assert next(iter(one["roots"])) in {root["id"] for root in one["document"]["roots"]}
