"""Results that survive an interruption: one NetCDF file a block of neurons, named by what it was computed from."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antidrome.core.files import read_json, write_json
from antidrome.core.hashing import hash_configuration
from antidrome.core.names import slug
from antidrome.errors import FileFormatError
from antidrome.pipeline.folder import CACHE
from antidrome.recordings.lazy import IN_MEMORY_VALUES

if TYPE_CHECKING:
    import xarray as xr

ORIGIN = "origin.json"
"""In the folder of a session's blocks: what they were made from."""


class SessionCache:
    """Blocks of one session's results under ``.antidrome/blocks-SESSION/``.

    Parameters
    ----------
    output
        The results folder.
    session_id
        The session.
    origin
        What the results depend on, by name (hash of the input, settings, versions): the key of the cache is its hash.
    source
        Where the recording lies, which tells another one of the same name from this one with other contents.
    """

    def __init__(self, output: Path, session_id: str, origin: Mapping[str, Any], source: str = "") -> None:
        self.folder = _folder(output, session_id)
        self.origin, self.source = dict(origin), source
        self.key = hash_configuration(self.origin)
        self._known = self.folder / ORIGIN

    def prepare(self) -> list[str]:
        """Make the folder fit for this origin alone; see the function of this name."""
        return prepare([self], forget=False)[0]

    def known(self) -> dict[str, Any]:
        """What the folder says of the blocks that it holds.

        That is their origin, where the recording lay, what had changed when they were begun, whether to forget earlier
        ones was asked then, and whether the job finished since.
        """
        return read_json(self._known)

    def is_of(self, known: Mapping[str, Any]) -> bool:
        """Whether what a folder says is of this origin, by the hash that everything else goes by: 30 is not 30.0."""
        origin = known.get("origin")
        return bool(origin) and hash_configuration(origin) == self.key

    def is_begun_anew(self) -> bool:
        """Whether a job of this origin that was to forget earlier results has begun and is not finished."""
        known = self.known()
        return self.is_of(known) and bool(known.get("forgot")) and not known.get("finished", True)

    def is_told_of(self, known: Mapping[str, Any]) -> bool:
        """Whether what a folder says is of this recording; older folders do not say of which they are."""
        same_input = known.get("origin", {}).get("input") == self.origin.get("input")
        return same_input or known.get("source") in (None, self.source)

    def begin(self, blocks: Path | None, changed: Sequence[str], *, forgot: bool) -> None:
        """Replace what the folder holds: by the contents of another folder, which goes, or by nothing."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        if blocks is not None:
            os.replace(blocks, self.folder)
        known = {"origin": self.origin, "source": self.source, "changed": list(changed), "finished": False}
        write_json(self._known, {**known, "forgot": True} if forgot else known)

    def finish(self) -> None:
        """Take note that the job is done."""
        write_json(self._known, {**self.known(), "finished": True})

    def has(self, block: int) -> bool:
        """Whether the block is finished; one that is cut short, as by a full disk or a broken copy, is not."""
        import h5py

        try:
            with h5py.File(self._path(block), "r"):
                return True
        except OSError:
            return False

    def put(self, block: int, result: "xr.Dataset") -> None:
        """Keep a finished block, atomically."""
        from antidrome.recordings import write

        write(result, self._path(block), format="netcdf")

    def open(self, n_blocks: int) -> "xr.Dataset":
        """All blocks as one dataset, along ``neuron``."""
        return open_blocks([self._path(block) for block in range(n_blocks)])

    def _path(self, block: int) -> Path:
        return self.folder / f"block-{block:05d}.nc"


def prepare(caches: Sequence[SessionCache], *, forget: bool) -> list[list[str]]:
    """Make the folders of all sessions fit for their origins.

    Blocks that a session of another name left here are taken over if they are of the same origin; all of them are set
    aside before the first folder is emptied, since sessions may have swapped their names. Blocks of these sessions that
    are of another origin are deleted; those of sessions that are not among these stay, for a job that names them, also
    where a session of these has taken over the name. To `forget` is to use no blocks but those of an interrupted job
    that was to forget, too, and to delete all others.

    Returns
    -------
    What changed since the run before, for each session; nothing where there was no run, or blocks could be kept.
    """
    known = [cache.known() for cache in caches]
    known = [{} if forget and not cache.is_begun_anew() else one for cache, one in zip(caches, known, strict=True)]
    stale = [i for i, cache in enumerate(caches) if not cache.is_of(known[i])]
    aside = {i: None if forget else _set_aside(caches[i]) for i in stale}
    changes = [list(map(str, one.get("changed", []))) for one in known]
    for i, blocks in aside.items():
        before = known[i].get("origin") if caches[i].is_told_of(known[i]) else None
        changes[i] = _differences(before, caches[i].origin) if before and blocks is None else []
        if not forget:
            _make_way(caches[i].folder, known[i], caches)
        caches[i].begin(blocks, changes[i], forgot=forget)
    for other in caches[0].folder.parent.glob(f"*/{ORIGIN}"):
        if forget or not _is_of_use(other, caches):
            _remove_unless_ours(other.parent, caches)
    return changes


def _is_of_use(path: Path, caches: Sequence[SessionCache]) -> bool:
    """Whether a folder holds blocks of a recording that is not among these, for a job that names it."""
    return not path.parent.name.startswith(".") and _is_of_another(read_json(path), caches)


def _is_of_another(known: Mapping[str, Any], caches: Sequence[SessionCache]) -> bool:
    origin, source = known.get("origin"), known.get("source")
    return bool(origin) and all(
        source != one.source and origin.get("input") != one.origin.get("input") for one in caches
    )


def _remove_unless_ours(folder: Path, caches: Sequence[SessionCache]) -> None:
    if all(folder != cache.folder for cache in caches):
        shutil.rmtree(folder)


def _make_way(folder: Path, known: Mapping[str, Any], caches: Sequence[SessionCache]) -> None:
    """Give a folder another name if it holds blocks of a recording that is not among these."""
    if not _is_of_another(known, caches):
        return
    kept = folder.with_name(f"{folder.name}-{hash_configuration(known['origin'])[:8]}")
    shutil.rmtree(kept, ignore_errors=True)
    os.replace(folder, kept)


def left_out(output: Path, caches: Sequence[SessionCache], sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those of the sessions in a summary that are not among the caches', and of which the folder keeps blocks.

    One whose name another session has now is told by the place of its recording.
    """
    ours = {cache.key for cache in caches}
    folders = [cache.folder for cache in caches]
    known = (read_json(path).get("origin") for path in (output / CACHE).glob(f"*/{ORIGIN}"))
    kept = {hash_configuration(origin) for origin in known if origin} - ours
    return [
        str(one["input"]["path"] if _folder(output, str(one["session_id"])) in folders else one["session_id"])
        for one in sessions
        if isinstance(result := one.get("result"), dict) and result.get("blocks") in kept
    ]


def _folder(output: Path, session_id: str) -> Path:
    return output / CACHE / f"blocks-{slug(session_id)}"


def _set_aside(cache: SessionCache) -> Path | None:
    """The blocks of the session's origin that lie here under any other name, once more, in a hidden folder."""
    from antidrome.core.files import atomic_directory

    aside = cache.folder.with_name(f".taken-{cache.folder.name}")
    for known in sorted(cache.folder.parent.glob(f"*/{ORIGIN}")):
        if not cache.is_of(read_json(known)):
            continue
        if known.parent != aside:  # else an interrupted run set them aside
            with atomic_directory(aside) as copied:
                for block in known.parent.glob("block-*.nc"):
                    _again(block, copied / block.name)
                write_json(copied / known.name, {"origin": cache.origin, "changed": []})
        return aside
    shutil.rmtree(aside, ignore_errors=True)
    return None


def _again(path: Path, place: Path) -> None:
    """The same file in a second place; blocks are never changed, so where the system can, it is not copied."""
    try:
        os.link(path, place)
    except OSError:
        shutil.copyfile(path, place)


def open_blocks(paths: Sequence[Path]) -> "xr.Dataset":
    """Join blocks along ``neuron``, in their order; ``attrs["block_attributes"]`` keeps the attributes of each."""
    import xarray as xr

    blocks = [_opened(path) for path in paths]
    joined = xr.concat(blocks, "neuron", data_vars="minimal", coords="minimal", compat="override", join="exact",
                       combine_attrs="override")  # fmt: skip
    joined.attrs["block_attributes"] = [block.attrs for block in blocks]
    if sum(variable.size for variable in joined.data_vars.values()) > IN_MEMORY_VALUES:
        return joined
    try:
        loaded = joined.load()
    except (OSError, RuntimeError) as error:
        raise _damaged(paths[0].parent, error) from error
    for block in blocks:
        block.close()
    return loaded


def _opened(path: Path) -> "xr.Dataset":
    import xarray as xr

    from antidrome.recordings.attributes import decode_attributes

    try:
        block = xr.open_dataset(path, engine="h5netcdf", chunks={"time": -1, "neuron": -1}, decode_timedelta=False)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error
    block.attrs = decode_attributes(block.attrs)
    for variable in block.variables.values():
        variable.attrs, variable.encoding = decode_attributes(variable.attrs), {}
    return block


def _damaged(path: Path, error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{path}, which an earlier run left, is damaged: {error}. Delete it, and run the job again: what is missing is"
        " computed anew."
    )


def cached_blocks(output: Path, session_id: str, key: str) -> list[Path]:
    """The blocks that the folder holds of a session, in order; none if they are of another origin than this key's."""
    folder = _folder(output, session_id)
    origin = read_json(folder / ORIGIN).get("origin")
    return sorted(folder.glob("block-*.nc")) if origin and hash_configuration(origin) == key else []


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
