"""The compilation cache of JAX on disk: what was compiled once is not compiled again by the next process."""

import os
import pathlib


def cache_folder() -> pathlib.Path:
    """Return the folder for compiled programs: ``$JAX_COMPILATION_CACHE_DIR``, or one in the user's cache folder."""
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(chosen) if chosen else pathlib.Path(base) / "antidrome" / "compiled"


def enable_compilation_cache() -> pathlib.Path | None:
    """Let JAX keep what it compiles; a folder that the user configured in JAX itself is left as it is.

    Returns
    -------
    pathlib.Path | None
        The folder in use, or None where none can be written (a read-only home): everything works, only slower.
    """
    import jax

    configured = jax.config.values.get("jax_compilation_cache_dir")
    if configured:
        return pathlib.Path(configured)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder
