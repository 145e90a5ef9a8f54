"""A web process silences one warning of eventlet at its start, and no other: a thread may warn at the same time."""

from __future__ import annotations

import subprocess
import sys

from tests.harness.program import ROOT, clean_environment

#: Warns in the middle of the import of eventlet, as a thread of a site module may: filters are the whole process's.
PROGRAM = """
import importlib.abc, sys, warnings

class Meanwhile(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "eventlet.greenpool":
            warnings.warn("careful")
        return None

sys.meta_path.insert(0, Meanwhile())
from swallowtail.app.wsgi import _patch
_patch("eventlet")
"""


def test_a_warning_during_the_import_of_eventlet_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=clean_environment({}), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "careful" in done.stderr
    assert "Eventlet is deprecated" not in done.stderr
