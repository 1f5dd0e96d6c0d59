"""The main job: recordings in; spikes, dynamics, dimension, a summary and a page out.

Interrupted at any moment, it goes on from there.
"""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.core.configuration import to_dict
from antidrome.core.files import atomic_write, read_json, write_json
from antidrome.core.hashing import hash_configuration
from antidrome.core.progress import progress as show
from antidrome.pipeline.cache import SessionCache, left_out, prepare
from antidrome.pipeline.config import RunConfig
from antidrome.pipeline.entering import enter, refuse_other_recordings, replace_result
from antidrome.pipeline.folder import (
    CACHE,
    PAGES,
    RECORD,
    REPORT,
    SETTINGS,
    SUMMARY,
    Manifest,
    is_of_a_run,
    locked,
)
from antidrome.pipeline.infer import infer_session
from antidrome.pipeline.model import file_of_model, load_model, origin_of, refuse_other_rates, with_absolute_model
from antidrome.pipeline.names import whole_path
from antidrome.pipeline.sessions import Session, has_errors, hash_beside, hash_trials, refuse_errors
from antidrome.pipeline.settings_file import to_toml
from antidrome.pipeline.stages import (
    LATER,
    StageOutcome,
    forget_unfinished,
    parts_of,
    run_stages,
    stage_settings,
    still_valid,
)
from antidrome.pipeline.summary import run_info, run_record, run_summary, session_summary

if TYPE_CHECKING:
    import xarray as xr

    from antidrome.report.session import SessionView
    from antidrome.spikes import SpikeVAE

WHAT = {
    SETTINGS: "settings; antidrome run --config run.toml repeats the run",
    RECORD: "versions, seed, and hashes of what was read and of every other file that was written",
    SUMMARY: "findings, what was found, and one record a neuron",
    REPORT: "the page",
    "nwb": "spikes, NWB",
    "zarr": "spikes, Zarr",
    "netcdf": "spikes, NetCDF",
    "suite2p": "spikes, suite2p-shaped spks.npy",
}
PASSED = (
    "An earlier run, which was told to go on in spite of the errors that the checks found (--force), left everything"
    " that this one would; nothing was computed."
)


def run(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    config: RunConfig | None = None,
    *,
    command: str = "",
    executor: Executor | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Read, check, infer, and leave ``spikes.nwb`` (or another format), ``summary.json`` and ``report.html``.

    Then come the shared dynamics of all sessions (``dynamics.safetensors``, ``latents.nc``) and the dimension of each
    population (``dimension.nc``), unless `config.stages` leaves them out. Where the data do not allow a stage, the
    summary and the page say why, and the rest stands.

    Finished work is kept in ``OUTPUT/.antidrome``; the same call after an interruption goes on from there and gives
    what an uninterrupted one gives. A changed input or setting is noticed by its hash: what depends on it is computed
    anew, and the notes of the result say so. So is a file that is no longer what was written written anew. Files of
    sessions that an earlier call named and this one does not are removed; what was computed of them is kept, too.

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
    executor
        Where blocks of neurons are inferred and sessions sketched (`antidrome.core.executor`); by default here. Model
        files must be readable there under the same path.
    progress
        Whether to show a progress bar.

    Returns
    -------
    dict
        The contents of ``summary.json``; of a run that had nothing to do, without what earlier ones removed or wrote
        anew, and with ``passed``, a sentence, if the checks found errors and ``config.force`` was not set.

    Raises
    ------
    InputError
        If the input cannot be used, a check finds an error and ``config.force`` is not set (unless everything is done
        already), the folder holds files of others, or another process works in it.
    """
    config = with_absolute_model(config or RunConfig())
    output = Path(output)
    sessions, names = enter(paths, output, config, refuse=False)
    if not config.force and not (output / CACHE).exists():
        refuse_errors(sessions)
    with locked(output):
        if not config.overwrite:  # another process may have finished since
            refuse_other_recordings(output, sessions)
        return _Job(sessions, names, paths, output, config, command, executor, progress).run()


class _Job:
    """One run over sessions that are read and checked."""

    def __init__(
        self,
        sessions: Sequence[Session],
        names: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        output: Path,
        config: RunConfig,
        command: str,
        executor: Executor | None,
        show_progress: bool,
    ) -> None:
        self.sessions, self.output, self.config, self.command = sessions, output, config, command
        self.paths = [whole_path(path) for path in paths]
        self.executor, self.show_progress = executor, show_progress
        self.names = list(names)
        self.manifest = Manifest(output)
        self.changed: list[str] = []
        self.left_out: list[str] = []

    def run(self) -> dict[str, Any]:
        model = load_model(self.config)
        refuse_other_rates(model, self.sessions)
        caches = [self._cache(session, model) for session in self.sessions]
        names = [session.session_id for session in self.sessions]
        trials = {"trials": told} if any(told := [hash_trials(session) for session in self.sessions]) else {}
        numbers_key = hash_configuration({"results": [cache.key for cache in caches], "sessions": names, **trials})
        beside = [hash_beside(session) for session in self.sessions]
        places = {"inputs": self._places(), **file_of_model(self.config)}
        key = hash_configuration({"numbers": numbers_key, **places, "beside": beside})
        page_key = hash_configuration({"results": key, "stages": stage_settings(LATER, self.config)})
        summary = read_json(self.output / SUMMARY)
        kept = still_valid(LATER, names, self.config, self.manifest, key=numbers_key)
        if not self.config.overwrite and self._is_done(summary, key, page_key, kept):
            return self._passed(summary)
        if not self.config.force:
            refuse_errors(self.sessions)
        self.manifest.claim([*self.names, *PAGES], overwrite=self.config.overwrite)
        if self.config.overwrite and not all(cache.is_begun_anew() for cache in caches):
            self.manifest.forget()
            forget_unfinished(self.output)
            kept = []
        self.changed = self.manifest.changed()
        results, seconds = self._infer(model, caches)
        self.left_out = left_out(self.output, caches, summary["sessions"] if is_of_a_run(summary) else [])
        self._write_results(results, key, seconds)
        named = {session.session_id: result for session, result in zip(self.sessions, results, strict=True)}
        outcomes = run_stages(
            LATER,
            named,
            self.output,
            self.config,
            self.manifest,
            key=numbers_key,
            executor=self.executor,
            show_progress=self.show_progress,
        )
        summary = self._write_page(results, outcomes, kept, model, (key, page_key), seconds)
        for cache in caches:
            cache.finish()
        self.manifest.done(RECORD, page_key)
        return summary

    def _cache(self, session: Session, model: "SpikeVAE") -> SessionCache:
        origin = origin_of(session, self.config, model)
        return SessionCache(self.output, session.session_id, origin, session.source)

    def _places(self) -> list[str]:
        """Where the recordings lie: what is written of them says so."""
        return self.paths or [session.source for session in self.sessions]

    def _is_done(self, summary: dict[str, Any], key: str, page_key: str, kept: list[str]) -> bool:
        """Whether an earlier run left everything that this one would, and of other stages only what it would keep."""
        pages = all(self.manifest.is_done(name, page_key) for name in PAGES)
        files = {str(file["name"]) for file in summary.get("files", [])}
        return (
            pages
            and files >= set(self.names)
            and set(summary.get("kept_files", [])) <= set(kept)
            and all(self.manifest.is_done(name, key) for name in self.names)
            and all(self.manifest.is_intact(name) for name in files)
        )

    def _passed(self, summary: dict[str, Any]) -> dict[str, Any]:
        """The summary of the run that did everything, without what happened to files then."""
        summary = {**summary, "removed_files": [], "rewritten_files": [], "left_out_sessions": []}
        return {**summary, "passed": PASSED} if has_errors(self.sessions) and not self.config.force else summary

    def _infer(
        self, model: "SpikeVAE", caches: Sequence[SessionCache]
    ) -> tuple[list["xr.Dataset"], list[dict[str, float]]]:
        results, seconds = [], []
        changes = prepare(caches, forget=self.config.overwrite)
        total = sum(session.recording.sizes["neuron"] for session in self.sessions)
        with show("Inferring spikes", total, unit="neurons", enabled=self.show_progress) as bar:
            for session, cache, changed in zip(self.sessions, caches, changes, strict=True):
                start = time.perf_counter()
                bar.describe(f"Inferring spikes of {session.session_id}")
                result, n_kept = infer_session(model, session, cache, self.config.samples, bar, self.executor)
                if changed:
                    note = (
                        f"Computed anew, since an earlier run in this folder used another {', another '.join(changed)}."
                    )
                    result.attrs["notes"] = [*result.attrs["notes"], note]
                results.append(result)
                seconds.append({"inference": time.perf_counter() - start, "blocks_from_earlier_run": n_kept})
        return results, seconds

    def _write_results(self, results: Sequence["xr.Dataset"], key: str, seconds: Sequence[dict[str, float]]) -> None:
        with show("Writing results", len(results), unit="files", enabled=self.show_progress) as bar:
            for session, name, result, taken in zip(self.sessions, self.names, results, seconds, strict=True):
                start = time.perf_counter()
                if not self.manifest.is_done(name, key):
                    session.refuse_replaced()
                    self.manifest.begin(name)
                    replace_result(result, self.output / name, self.config.format)
                    self.manifest.done(name, key)
                taken["writing"] = time.perf_counter() - start
                bar.advance()

    def _write_page(
        self,
        results: Sequence["xr.Dataset"],
        outcomes: Mapping[str, StageOutcome],
        kept: list[str],
        model: "SpikeVAE",
        keys: tuple[str, str],
        seconds: Sequence[dict[str, float]],
    ) -> dict[str, Any]:
        """What belongs to the whole: the summary, the record of the run, the page; stale files but `kept` go."""
        from antidrome.report import write_page
        from antidrome.report.report import session_views

        key, page_key = keys
        views = session_views(results)
        summary = self._summary(views, outcomes, model, key, seconds)
        current = [file["name"] for file in summary["files"]]
        summary["kept_files"] = [name for name in kept if self.manifest.is_intact(name)]
        summary["removed_files"] = self.manifest.remove_stale([*current, *kept], key)
        summary["rewritten_files"] = [name for name in current if name in self.changed]
        summary["left_out_sessions"] = self.left_out
        for name in PAGES:
            self.manifest.begin(name)
        self._write_settings(summary)
        write_json(self.output / SUMMARY, summary)
        parts = parts_of(LATER, self.output, summary)
        write_page(self.output / REPORT, views, run_info(summary), card=summary["model_card"], parts=parts)
        for name in (SETTINGS, SUMMARY, REPORT):
            self.manifest.done(name, page_key)
        others = [name for name in [*current, *summary["kept_files"]] if name != RECORD]
        write_json(self.output / RECORD, run_record(summary, self.manifest.hashes(others)))
        return summary

    def _summary(
        self,
        views: "Sequence[SessionView]",
        outcomes: Mapping[str, StageOutcome],
        model: "SpikeVAE",
        key: str,
        seconds: Sequence[dict[str, float]],
    ) -> dict[str, Any]:
        sessions = [
            session_summary(view, input_hash=session.input_hash, result_key=key, file=name, seconds=taken)
            for view, session, name, taken in zip(views, self.sessions, self.names, seconds, strict=True)
        ]
        files = dict.fromkeys(self.names, WHAT[self.config.format])
        for outcome in outcomes.values():
            files |= outcome.files
        files |= {name: WHAT[name] for name in PAGES}
        return run_summary(
            sessions,
            {name: outcome.summary for name, outcome in outcomes.items()},
            command=self.command,
            config=to_dict(self.config),
            model_card=model.model_card,
            files=[{"name": name, "what": what} for name, what in files.items()],
        )

    def _write_settings(self, summary: dict[str, Any]) -> None:
        """``run.toml``: everything but --overwrite, which is for once."""
        settings = {name: value for name, value in summary["config"].items() if name != "overwrite"}
        text = to_toml({"paths": self.paths, "output": whole_path(self.output), **settings})
        with atomic_write(self.output / SETTINGS) as temporary:
            temporary.write_text(text, "utf-8")
