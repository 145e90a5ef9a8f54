"""The `swallowtail` command as a file, for a checkout: `python scripts/enqueue.py` calls `scripts/cli/main.py`."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    # Run as a file: import from the repository instead of this directory.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from swallowtail.scripts.cli.main import main

if __name__ == "__main__":
    main()
