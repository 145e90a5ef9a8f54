"""One process under the supervisor."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from swallowtail.app.core.process.child_process import ChildProcess, RestartPolicy, describe
from tests.harness.system.process_guard import session_pids
from tests.harness.waiting import PATIENCE

pytestmark = pytest.mark.service

SHORT = RestartPolicy(grace=0.5, pause=0.01, pause_max=0.04, forget=60.0)
LONG = RestartPolicy(grace=PATIENCE, pause=0.01, pause_max=0.04, forget=60.0)


class RecordedChild:
    """A child, the lines of its output and the messages about it; `until` waits for a condition."""

    def __init__(self, script: str, policy: RestartPolicy = LONG) -> None:
        self.lines: list[str] = []
        self.said: list[str] = []
        self.child = ChildProcess(
            "child",
            f"{shlex.quote(sys.executable)} -uc {shlex.quote(script)}",
            env=os.environ,
            policy=policy,
            show=lambda name, line: self.lines.append(line),
            print_line=self.said.append,
        )

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene()

    asyncio.run(main())


def test_it_shows_every_line_and_gives_the_exit_code() -> None:
    async def scene() -> None:
        recorded = RecordedChild(
            "import sys; print('out'); print('err', file=sys.stderr); print('end', end=''); exit(3)"
        )
        assert await recorded.child.run_once() == 3
        assert recorded.lines == ["out", "err", "end"]

    run(scene)


def test_an_ended_process_is_restarted_after_growing_pauses() -> None:
    async def scene() -> None:
        recorded = RecordedChild("print('up'); exit(7)")
        keeper = asyncio.create_task(recorded.child.keep_running())
        await recorded.until(lambda: len(recorded.said) >= 4)
        await recorded.child.stop()
        await keeper
        received = [
            f"child ended with exit code 7; starting it again in {p} s" for p in ("0.01", "0.02", "0.04", "0.04")
        ]
        assert recorded.said[:4] == received

    run(scene)


def test_a_final_end_is_returned_instead() -> None:
    async def scene() -> None:
        recorded = RecordedChild("exit(2)")
        assert await recorded.child.keep_running(final=(2,)) == 2
        assert recorded.said == []

    run(scene)


def test_a_child_that_is_stopped_while_it_starts_ends() -> None:
    async def scene() -> None:
        recorded = RecordedChild("import time; time.sleep(600)")
        keeper = asyncio.create_task(recorded.child.keep_running())
        await asyncio.sleep(0)
        await recorded.child.stop()
        async with asyncio.timeout(PATIENCE):
            assert await keeper in (0, -signal.SIGTERM)

    run(scene)


def test_a_killed_process_is_restarted() -> None:
    async def scene() -> None:
        recorded = RecordedChild("import os, time; print(os.getpid()); time.sleep(600)")
        keeper = asyncio.create_task(recorded.child.keep_running())
        await recorded.until(lambda: len(recorded.lines) == 1)
        os.kill(int(recorded.lines[0]), signal.SIGKILL)
        await recorded.until(lambda: len(recorded.lines) == 2)
        assert recorded.said == ["child ended by SIGKILL; starting it again in 0.01 s"]
        await recorded.child.stop()
        await keeper
        assert session_pids(int(recorded.lines[1])) == []

    run(scene)


def test_a_stopped_one_gets_the_time_to_tidy_up() -> None:
    script = """
import signal, sys, time
def tidy(*_):
    print("tidied")
    sys.exit()
signal.signal(signal.SIGTERM, tidy)
print("up")
time.sleep(600)
"""

    async def scene() -> None:
        recorded = RecordedChild(script)
        keeper = asyncio.create_task(recorded.child.keep_running())
        await recorded.until(lambda: recorded.lines)
        await recorded.child.stop()
        await keeper
        assert (recorded.lines, recorded.said) == (["up", "tidied"], [])

    run(scene)


def test_a_process_that_does_not_stop_is_killed_with_its_children() -> None:
    script = """
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"])
print(os.getpid())
time.sleep(600)
"""

    async def scene() -> None:
        recorded = RecordedChild(script, SHORT)
        keeper = asyncio.create_task(recorded.child.keep_running())
        await recorded.until(lambda: recorded.lines)
        assert len(session_pids(int(recorded.lines[0]))) == 2
        await recorded.child.stop()
        await keeper
        await recorded.until(lambda: not session_pids(int(recorded.lines[0])))
        assert recorded.said == ["child did not end within 0.5 s; killing it"]

    run(scene)


def test_children_of_a_dead_process_are_ended_before_the_restart() -> None:
    script = "import os, subprocess; subprocess.Popen(['sleep', '600']); print(os.getpid()); os._exit(0)"

    async def scene() -> None:
        recorded = RecordedChild(script)
        assert await recorded.child.run_once() == 0
        await recorded.until(lambda: not session_pids(int(recorded.lines[0])))

    run(scene)


def test_nothing_is_started_again_after_a_stop() -> None:
    async def scene() -> None:
        recorded = RecordedChild(
            "pass", RestartPolicy(grace=PATIENCE, pause=PATIENCE * 10, pause_max=PATIENCE * 10, forget=60.0)
        )
        keeper = asyncio.create_task(recorded.child.keep_running())
        await recorded.until(lambda: recorded.said)
        await recorded.child.stop()
        async with asyncio.timeout(PATIENCE):
            await keeper

    run(scene)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_it_ends_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio, os, sys
from swallowtail.app.core.process.child_process import ChildProcess, RestartPolicy
def show(name, line):
    print(line, flush=True)
    os.kill(os.getpid(), 9)
child = ChildProcess("child", "{sys.executable} -uc 'import os, time; print(os.getpid()); time.sleep(600)'",
    env=os.environ, policy=RestartPolicy(1, 1, 1, 1), show=show, print_line=print)
asyncio.run(child.run_once())
"""

    async def scene() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        assert process.returncode == -signal.SIGKILL
        await RecordedChild("").until(lambda: not session_pids(int(output)))

    run(scene)


def test_ends_are_described_in_words() -> None:
    assert [describe(code) for code in (0, 3, -9, -99)] == [
        "with exit code 0",
        "with exit code 3",
        "by SIGKILL",
        "by signal 99",
    ]
