"""The main job: recordings in; spikes, a summary and a page out; interrupted at any moment, it goes on from there."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.core.configuration import to_dict
from antidrome.core.hashing import hash_configuration
from antidrome.core.progress import progress
from antidrome.errors import InputError
from antidrome.pipeline.cache import SessionCache
from antidrome.pipeline.config import RunConfig
from antidrome.pipeline.demo import demo_sessions
from antidrome.pipeline.folder import Manifest, locked, read_json, write_json
from antidrome.pipeline.infer import infer_session
from antidrome.pipeline.model import load_model, model_card, origin_of
from antidrome.pipeline.names import output_name
from antidrome.pipeline.sessions import Session, read_sessions, refuse_errors
from antidrome.pipeline.summary import run_info, run_summary, session_summary

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.spikes import SpikeVAE

SUMMARY, REPORT = "summary.json", "report.html"
WHAT = {
    SUMMARY: "versions, seed, hashes, findings and one record a neuron",
    REPORT: "this page",
    "nwb": "spikes, NWB",
    "zarr": "spikes, Zarr",
    "netcdf": "spikes, NetCDF",
    "suite2p": "spikes, suite2p-shaped spks.npy",
}


def run(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    config: RunConfig | None = None,
    *,
    command: str = "",
    show_progress: bool = True,
) -> dict[str, Any]:
    """Read, check, infer, and leave ``spikes.nwb`` (or another format), ``summary.json`` and ``report.html``.

    Finished work is kept in ``OUTPUT/.antidrome``; the same call after an interruption goes on from there and gives
    what an uninterrupted one gives. A changed input or setting is noticed by its hash: what depends on it is computed
    anew, and the notes of the result say so.

    Parameters
    ----------
    paths
        Recordings of any format that `antidrome.recordings.read` knows; none: a simulated recording of two sessions.
    output
        Results folder; made if missing.
    config
        Settings.
    command
        The command line, for the summary and the page.
    show_progress
        Whether to show a progress bar.

    Returns
    -------
    dict
        The contents of ``summary.json``.

    Raises
    ------
    InputError
        If the input cannot be used, a check finds an error and ``config.force`` is not set, the folder holds files of
        others, or another process works in it.
    """
    config = config or RunConfig()
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; -o needs a folder for the results.")
    sessions = read_sessions(paths, config) if paths else demo_sessions(config)
    if not config.force:
        refuse_errors(sessions)
    with locked(output):
        return _Job(sessions, output, config, command, show_progress).run()


class _Job:
    """One run over sessions that are read and checked."""

    def __init__(
        self, sessions: Sequence[Session], output: Path, config: RunConfig, command: str, show_progress: bool
    ) -> None:
        self.sessions, self.output, self.config, self.command = sessions, output, config, command
        self.show_progress = show_progress
        self.names = [output_name(s.session_id, len(sessions), config.format) for s in sessions]
        self.manifest = Manifest(output)

    def run(self) -> dict[str, Any]:
        names = [*self.names, SUMMARY, REPORT]
        self.manifest.claim(names, overwrite=self.config.overwrite)
        model = load_model(self.config)
        caches = [SessionCache(self.output, s.session_id, origin_of(s, self.config, model)) for s in self.sessions]
        key = hash_configuration({"results": [cache.key for cache in caches]})
        summary = read_json(self.output / SUMMARY)
        done = all(self.manifest.is_done(name, key) for name in names) and _files_of(summary) >= set(self.names)
        if done and not self.config.overwrite:
            return summary
        results, seconds = self._infer(model, caches)
        self._write_results(results, key, seconds)
        return self._write_page(results, model, key, seconds)

    def _infer(
        self, model: "SpikeVAE", caches: Sequence[SessionCache]
    ) -> tuple[list["xr.Dataset"], list[dict[str, float]]]:
        results, seconds = [], []
        total = sum(session.recording.sizes["neuron"] for session in self.sessions)
        with progress("Inferring spikes", total, unit="neurons", enabled=self.show_progress) as bar:
            for session, cache in zip(self.sessions, caches, strict=True):
                start = time.perf_counter()
                changed = cache.prepare(forget=self.config.overwrite)
                bar.describe(f"Inferring spikes of {session.session_id}")
                result, n_kept = infer_session(model, session, cache, self.config.samples, bar)
                if changed:
                    note = (
                        f"Computed anew, since an earlier run in this folder used another {', another '.join(changed)}."
                    )
                    result.attrs["notes"] = [*result.attrs["notes"], note]
                results.append(result)
                seconds.append({"inference": time.perf_counter() - start, "blocks_from_earlier_run": n_kept})
        return results, seconds

    def _write_results(self, results: Sequence["xr.Dataset"], key: str, seconds: Sequence[dict[str, float]]) -> None:
        from antidrome.recordings import write

        with progress("Writing results", len(results), unit="files", enabled=self.show_progress) as bar:
            for name, result, taken in zip(self.names, results, seconds, strict=True):
                start = time.perf_counter()
                if not self.manifest.is_done(name, key):
                    write(result, self.output / name, format=self.config.format)
                    self.manifest.done(name, key)
                taken["writing"] = time.perf_counter() - start
                bar.advance()

    def _write_page(
        self, results: Sequence["xr.Dataset"], model: "SpikeVAE", key: str, seconds: Sequence[dict[str, float]]
    ) -> dict[str, Any]:
        from antidrome.report import write_page
        from antidrome.report.report import session_views

        views = session_views(results)
        sessions = [
            session_summary(
                view, input_hash=session.input_hash, result_key=key, file=name, seconds=taken
            )
            for view, session, name, taken in zip(views, self.sessions, self.names, seconds, strict=True)
        ]  # fmt: skip
        files = [{"name": name, "what": WHAT[self.config.format]} for name in self.names]
        files += [{"name": name, "what": WHAT[name]} for name in (SUMMARY, REPORT)]
        summary = run_summary(
            sessions, command=self.command, config=to_dict(self.config), model_card=model_card(model), files=files
        )
        summary["removed_files"] = self.manifest.remove_stale([*self.names, SUMMARY, REPORT], key)
        write_json(self.output / SUMMARY, summary)
        self.manifest.done(SUMMARY, key)
        write_page(self.output / REPORT, views, run_info(summary), card=summary["model_card"])
        self.manifest.done(REPORT, key)
        return summary


def _files_of(summary: dict[str, Any]) -> set[str]:
    """Names of the results that the page and the summary in the folder speak of."""
    return {session["result"]["file"] for session in summary.get("sessions", [])}
