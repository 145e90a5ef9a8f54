"""A signal at any moment of a start ends a process without a traceback, and leaves nothing running.

Kind of fault: Ctrl-C in the middle of an import, or of a start whose handlers are not there yet.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swallowtail.app.core.process.python_command import python_command
from swallowtail.scripts.processes.command_lines import DEV, MODULES, UP, command_line
from tests.harness.program import clean_environment
from tests.harness.system.ports import free_port
from tests.harness.system.process_guard import session_pids
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.long]

#: Seconds after the start: in the imports, in the start itself, and while it runs.
MOMENTS = (0.0, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 8.0)
#: As the command executes it: the signal is blocked until the process accepts it.
BLOCKED = """if True:
    import os, sys
    from swallowtail.app.core.process.early_interrupt import blocked_interrupt
    with blocked_interrupt():
        print(flush=True)
        os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["up", "dev", *MODULES])
def test_a_signal_during_the_start_ends_a_process_without_a_traceback(
    tmp_path: Path, name: str, number: signal.Signals
) -> None:
    command = {"up": python_command(UP), "dev": python_command(DEV)}.get(name) or command_line(name)
    env = clean_environment({"SWALLOWTAIL_PORT": str(free_port()), "SWALLOWTAIL_DATABASE_WAIT": "1"})
    for moment in MOMENTS:
        process = subprocess.Popen(
            [sys.executable, "-c", BLOCKED, *command],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moment)
        process.send_signal(number)
        output = process.communicate(timeout=120)[0]
        assert "Traceback" not in output, (moment, output)
        assert "KeyboardInterrupt" not in output, (moment, output)
        wait_until(lambda leader=process.pid: not session_pids(leader), "nothing of it runs")  # type: ignore[misc]
