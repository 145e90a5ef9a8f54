"""The harness: what the journey tests rely on."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest
import redis

from tests.harness.program import ROOT, Died, Program, make_directory, remove_directory
from tests.harness.servers import RedisServer
from tests.harness.system.process_guard import session_pids
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.service


def test_a_killed_redis_comes_back_empty_at_the_same_address(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("key", "value")
    redis_server.restart()
    with redis_server.client() as client:
        assert client.get("key") is None


def test_a_paused_redis_neither_answers_nor_dies(redis_server: RedisServer) -> None:
    redis_server.pause()
    frozen = redis.Redis.from_url(redis_server.url, socket_timeout=0.2)
    with pytest.raises(redis.TimeoutError):
        frozen.ping()
    frozen.close()
    redis_server.resume()
    wait_until(redis_server.ready, "it answers again")


def test_each_postgres_database_is_new(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_program_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    class Never(Program):
        def ready(self) -> bool:
            return False

    with pytest.raises(Died, match="no such thing"):
        Never("broken", [sys.executable, "-c", "exit('no such thing')"], log=tmp_path / "log").start()


def test_killing_a_program_ends_what_it_started(tmp_path: Path) -> None:
    script = "import subprocess; subprocess.run(['sleep', '600'])"
    program = Program("parent", [sys.executable, "-c", script], log=tmp_path / "log").start()
    wait_until(program.descendants, "it has a child")
    program.kill()
    assert session_pids(program.pid) == []


def test_nothing_is_left_when_the_test_run_is_killed(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from tests.harness.program import Program, make_directory
        program = Program("sleeper", ["sleep", "600"], log=Path(sys.argv[1])).start()
        print(program.pid, make_directory(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "log")], cwd=ROOT, capture_output=True, text=True
    )
    leader, directory = done.stdout.split()
    wait_until(lambda: not session_pids(int(leader)), "the guard has ended the sleeper")
    wait_until(lambda: not Path(directory).exists(), "the guard has removed the directory")


def test_a_directory_is_removed_when_what_uses_it_has_ended(tmp_path: Path) -> None:
    directory = make_directory()
    write = "i=0; while [ $i -lt 200 ]; do i=$((i + 1)); mkdir -p $0/$i; sleep 0.002; done"
    # In a session of its own: the end of the program that started it is not its end.
    command = ["bash", "-c", f"setsid bash -c '{write}' {directory} & sleep 0.1"]
    with Program("starter", command, log=tmp_path / "log", cwd=tmp_path).start():
        wait_until(lambda: any(directory.iterdir()), "it writes")
    remove_directory(directory)
    assert not directory.exists()
