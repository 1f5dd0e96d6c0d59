"""Write the list of data files that `antidrome data` knows: sha256, size and path of every file in a mirror folder.

usage: python .ci/list_data_files.py MIRROR    (rewrites src/antidrome/data/files.txt)
"""

import hashlib
import pathlib
import sys

LIST = pathlib.Path(__file__).resolve().parent.parent / "src" / "antidrome" / "data" / "files.txt"
LEFT_OUT = {".md", ".py"}


def main(mirror: pathlib.Path) -> None:
    """List every data file below `mirror`."""
    files = sorted(p for p in mirror.rglob("*") if p.is_file() and p.suffix not in LEFT_OUT)
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()} {p.stat().st_size} {p.relative_to(mirror).as_posix()}\n"
        for p in files
    ]
    LIST.write_text("".join(lines))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
