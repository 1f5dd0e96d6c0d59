"""``python -m antidrome``: the same as the command ``antidrome``."""

import sys

from antidrome.cli import main

if __name__ == "__main__":
    sys.exit(main())
