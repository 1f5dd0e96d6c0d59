"""Fetch a data set from a mirror (a folder or a URL) into the cache, every file checked against its sha256."""

import contextlib
import ftplib
import os
import shutil
import socket
from pathlib import Path

from antidrome.core.files import atomic_write
from antidrome.core.progress import progress as show_progress
from antidrome.data.catalogue import Dataset, File, find
from antidrome.errors import InputError

MIRROR = "ANTIDROME_MIRROR"
"""Environment variable with the mirror: a folder, or the URL below which the files lie."""

SCHEMES = ("https", "http", "ftp")
"""Schemes of URLs that files are fetched from."""

_UNREACHABLE = (ftplib.Error, EOFError, ConnectionError, TimeoutError, socket.gaierror)
"""What FTP raises where a mirror does not answer or has no such file."""


def get(
    name: str, *, mirror: str | Path | None = None, folder: str | Path | None = None, progress: bool = True
) -> Path:
    """Fetch a data set and return the folder in which its files lie; what is there already is only checked.

    Parameters
    ----------
    name
        As listed by `antidrome data list`.
    mirror
        Folder or URL that holds the files; by default the environment variable ``ANTIDROME_MIRROR``.
    folder
        Where to put the files; by default the user's cache.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        No such data set; no mirror for what is not there already; a mirror that does not answer; or a file that is
        missing there or is not the one that the registry lists.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the progress bar tells what is fetched
    dataset = find(name)
    source = _mirror(mirror)
    target = Path(folder) if folder is not None else Path(pooch.os_cache("antidrome"))
    with show_progress(f"Fetching {name}", dataset.size, unit="bytes", enabled=progress) as bar:
        for file in dataset.files:
            _fetch(file, dataset, source, target)
            bar.advance(file.size)
    return target / Path(dataset.files[0].path).parent


def _mirror(mirror: str | Path | None) -> str:
    """The folder or URL to fetch from; "" where none is set."""
    source = str(mirror or os.environ.get(MIRROR, ""))
    if source and "://" not in source and not Path(source).is_dir():
        raise InputError(f"The mirror {source} is neither a folder nor a URL.")
    scheme = source.partition("://")[0].lower()
    if "://" in source and scheme not in SCHEMES:
        raise InputError(
            f"The mirror {source} is a URL of the scheme {scheme!r}, which is not supported; expected one of"
            f" {', '.join(SCHEMES)}, or a folder."
        )
    return source


def _fetch(file: File, dataset: Dataset, source: str, target: Path) -> None:
    """One file, by pooch: fetched where it is missing or differs, refused where it is not what the registry lists."""
    import pooch
    from requests import RequestException

    remote = "://" in source
    place = target / file.path
    url = f"{source.rstrip('/')}/{file.path}" if remote else f"file://{Path(source).resolve() / file.path}"
    if not source:
        if place.is_file() and pooch.file_hash(str(place)) == file.sha256:
            return
        raise InputError(
            f"{dataset.name} is not bundled, and no mirror is set. Give a folder or URL that holds {file.path}"
            f" (--mirror, or the environment variable {MIRROR}). The data come from {dataset.origin}."
        )
    try:
        pooch.retrieve(
            url=url,
            known_hash=f"sha256:{file.sha256}",
            fname=place.name,
            path=place.parent,
            downloader=None if remote else _copy,
        )
    except FileNotFoundError as error:
        raise InputError(f"The mirror {source} does not hold {file.path}.") from error
    except (RequestException, *_UNREACHABLE) as error:  # of which some are a ValueError, too
        raise InputError(
            f"{url} could not be fetched: {error}. What is here already stays; the same command goes on with it."
        ) from error
    except ValueError as error:
        raise InputError(
            f"{file.path} in the mirror {source} is not the file that the registry lists (its sha256 differs)."
            " It may be damaged or of another version."
        ) from error
    with contextlib.suppress(OSError):  # it was there before, and is somebody else's
        place.chmod(place.stat().st_mode | 0o044)  # what pooch leaves is for its owner alone


def _copy(url: str, output_file: str, _: object) -> None:
    """A downloader for folders."""
    with atomic_write(Path(output_file)) as temporary:
        shutil.copyfile(url.removeprefix("file://"), temporary)
