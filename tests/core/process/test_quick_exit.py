"""The end of a process without the last garbage collection loses nothing of what a process does at its end."""

from __future__ import annotations

import subprocess
import sys

CODE = """if True:
    import atexit, gc, sys
    # Python 3.12 begins with some.
    before = gc.get_freeze_count()
    atexit.register(lambda: print("last", gc.get_freeze_count() > before))
    from swallowtail.app.core.process.quick_exit import skip_last_collection
    skip_last_collection()
    atexit.register(lambda: print("first", gc.get_freeze_count() > before))
    print("without a line end", end="; ")
    sys.exit(3)
"""


def test_functions_for_the_exit_run_and_output_and_exit_code_are_kept() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "without a line end; first False\nlast True\n", "")
