"""A web process hides one warning of eventlet at its start and no other: a thread may warn at the same time."""

from __future__ import annotations

import subprocess
import sys

from tests.harness.program import ROOT, clean_environment

#: Warns during the import of eventlet, as a thread of a site module may: warning filters apply to the whole process.
PROGRAM = """
import importlib.abc, sys, warnings

class WarnDuringImport(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "eventlet.greenpool":
            warnings.warn("careful")
        return None

sys.meta_path.insert(0, WarnDuringImport())
from swallowtail.app.wsgi import patch_standard_library
patch_standard_library("eventlet")
"""


def test_a_warning_during_the_import_of_eventlet_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=clean_environment({}), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "careful" in done.stderr
    assert "Eventlet is deprecated" not in done.stderr
