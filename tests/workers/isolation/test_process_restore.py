"""The changes that a run makes to its process are undone before the next run."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from billiard.pool import EX_RECYCLE
from structlog.testing import capture_logs

from swallowtail.workers.isolation import process_restore
from swallowtail.workers.isolation.process_restore import exit_after_failed_restore, restored_process
from swallowtail.workers.isolation.process_state import TABLE, StateItem
from tests.workers.isolation.process_changes import CHANGES, lower_limit


class Worker:
    """The part of the pool's worker object that waits for the next run."""

    def wait_for_job(self) -> str:
        return "next"


@pytest.fixture(autouse=True)
def worker() -> Iterator[Worker]:
    process_restore._must_exit.clear()
    waiting = Worker()
    exit_after_failed_restore(waiting)
    yield waiting
    process_restore._must_exit.clear()


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_undone(what: str) -> None:
    change, read = CHANGES[what]
    # Twice: the first read may clean up what another test left in this process.
    read()
    before = read()

    def work() -> None:
        with restored_process():
            change()
            raise LookupError

    with pytest.raises(LookupError):
        work()
    assert read() == before


def test_a_deleted_directory_does_not_prevent_the_restore_of_other_items(tmp_path: Path) -> None:
    before, limit = os.getcwd(), sys.getrecursionlimit()
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    try:
        with restored_process():
            (tmp_path / "gone").rmdir()
            sys.setrecursionlimit(5000)
    finally:
        os.chdir(before)
    assert sys.getrecursionlimit() == limit


def test_a_system_without_saved_user_ids_performs_runs_too(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getresuid", "getresgid", "sched_getaffinity", "sched_setaffinity"):
        monkeypatch.delattr(os, name)
    with capture_logs() as logged, restored_process():
        pass
    assert logged == []
    assert worker.wait_for_job() == "next"


def test_unreadable_process_state_is_skipped_with_a_warning(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AttributeError("not on this system")

    odd = StateItem("odd", refuse, lambda _: None)
    monkeypatch.setattr(process_restore, "TABLE", (odd, *TABLE))
    limit = sys.getrecursionlimit()
    with capture_logs() as logged, restored_process():
        sys.setrecursionlimit(5000)
    assert sys.getrecursionlimit() == limit
    assert [(line["event"], line["what"], line["log_level"]) for line in logged] == [
        ("process_state_not_read", "odd", "warning")
    ]
    assert worker.wait_for_job() == "next"


def test_random_numbers_do_not_depend_on_a_seed_of_another_run() -> None:
    with restored_process():
        random.seed(1)
        expected = random.random()
        random.seed(1)
    with restored_process():
        assert random.random() != expected


def test_a_process_that_is_left_behind_is_ended() -> None:
    with restored_process():
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=[3600])
        process.start()
    assert multiprocessing.active_children() == []
    assert not process.is_alive()


def test_a_program_that_is_left_behind_is_ended() -> None:
    with restored_process():
        process = subprocess.Popen(["sleep", "3600"])
    assert process.poll() is not None


def test_a_child_with_a_thread_that_still_runs_takes_no_further_run(worker: Worker) -> None:
    over = threading.Event()
    with restored_process():
        thread = threading.Thread(target=over.wait)
        thread.start()
    with pytest.raises(SystemExit) as ended:
        worker.wait_for_job()
    assert ended.value.code == EX_RECYCLE
    over.set()
    thread.join()


def test_a_child_whose_limit_cannot_be_raised_again_takes_no_further_run(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    before, limit = resource.getrlimit(resource.RLIMIT_NOFILE), sys.getrecursionlimit()
    with restored_process():
        lower_limit()
        sys.setrecursionlimit(5000)
        monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.undo()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert sys.getrecursionlimit() == limit, "the rest is put back all the same"
    with pytest.raises(SystemExit):
        worker.wait_for_job()


def test_a_daemon_thread_as_libraries_keep_them_replaces_no_child(worker: Worker) -> None:
    over = threading.Event()
    with restored_process():
        thread = threading.Thread(target=over.wait, daemon=True)
        thread.start()
    assert worker.wait_for_job() == "next"
    over.set()
    thread.join()


def test_a_child_in_which_everything_was_restored_takes_the_next_run(worker: Worker) -> None:
    with restored_process():
        os.environ["ODD"] = "1"
        threading.Thread(target=lambda: None).start()
    assert worker.wait_for_job() == "next"


def test_a_child_in_which_functions_were_patched_takes_no_further_run(worker: Worker) -> None:
    with restored_process():
        time.sleep = print
    with pytest.raises(SystemExit):
        worker.wait_for_job()


def test_a_child_with_too_many_files_open_takes_no_further_run(worker: Worker) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Half of this limit is 200 files more than this process has open already.
    resource.setrlimit(resource.RLIMIT_NOFILE, (400 + 2 * len(os.listdir("/dev/fd")), limit[1]))
    files = []
    try:
        with restored_process():
            files = [os.open(os.devnull, os.O_RDONLY) for _ in range(250)]
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    with pytest.raises(SystemExit):
        worker.wait_for_job()


@pytest.mark.parametrize("finders", [sys.meta_path, sys.path_hooks])
def test_a_child_in_which_an_import_added_a_finder_takes_no_further_run(worker: Worker, finders: list[object]) -> None:
    before = list(finders)
    with restored_process():
        finders.append(lambda *_: None)
    assert finders == before
    with pytest.raises(SystemExit):
        worker.wait_for_job()


def test_a_variable_that_is_hidden_from_programs_stays_hidden() -> None:
    os.environ["HIDDEN"] = "1"
    os.unsetenv("HIDDEN")
    try:
        with restored_process():
            os.environ["ODD"] = "1"
            del os.environ["PATH"]
        output = subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True).stdout
    finally:
        del os.environ["HIDDEN"]
    assert "PATH" in os.environ
    assert not [line for line in output.splitlines() if line.startswith(("HIDDEN=", "ODD="))]
