"""A receiver of `swallowtail.signals` sees every event once, in the process that wrote it, and Redis gets it too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from swallowtail.app.core.ledger.publisher import instance_channel
from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK
from tests.harness.processes import WorkerProcess
from tests.harness.program import ROOT
from tests.harness.waiting import wait_until

#: Connects a receiver when a process imports the runtime: a web process has patched the standard library by then.
RECEIVER = """
import json, os, sys
from importlib.abc import MetaPathFinder

class AtRuntimeImport(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "swallowtail.app.core.runtime":
            sys.meta_path.remove(self)
            from swallowtail import signals
            signals.event_recorded.connect(receive)

def receive(sender, events):
    record = {"pid": os.getpid(), "command": " ".join(sys.orig_argv), "seqs": [event.seq for event in events]}
    with open(%r, "a") as file:
        file.write(json.dumps(record) + "\\n")

sys.meta_path.insert(0, AtRuntimeImport())
"""
#: A program of an application that uses the services.
SUBMIT = """
import sys
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services.tasks import submit
from swallowtail.scripts.cli.open_runtime import open_runtime_as
instance, kind, key, value, seconds = sys.argv[1:]
with open_runtime_as(True) as runtime:
    new = NewTask(kind=kind, input={key: value}, expires_in=float(seconds) if seconds else None)
    print(submit(runtime, instance, new).task["id"])
"""
#: A part of each process's command line.
COMMANDS = {
    "web": "swallowtail.app.wsgi",
    "beat": "swallowtail.workers.program beat",
    "sweeper": "swallowtail.workers.sweeper_process",
    "program": "swallowtail.app.core.services.tasks import submit",
    "pool child": "swallowtail.workers.program worker",
}
KINDS = {*COMMANDS, "worker"}


def connect_receiver(deployment: Deployment) -> Path:
    """Have every process that is started from now on write the events that it is sent to a file; return the file."""
    deployment.runtime()
    records = deployment.root / "received.jsonl"
    (deployment.root / "sitecustomize.py").write_text(RECEIVER % str(records))
    deployment.env["PYTHONPATH"] = f"{deployment.root}:{ROOT}"
    return records


def read_records(path: Path, worker_pid: int) -> dict[int, tuple[str, list[int]]]:
    """Return the kind of each process, and the numbers that it received, in their order."""
    received: dict[int, tuple[str, list[int]]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        pid = record["pid"]
        kind = next(name for name, part in COMMANDS.items() if part in record["command"])
        received.setdefault(pid, ("worker" if pid == worker_pid else kind, []))[1].extend(record["seqs"])
    return received


@contextmanager
def published_numbers(deployment: Deployment, instance: str) -> Iterator[Callable[[], list[int]]]:
    """Subscribe to an instance's channel; yield a function that returns the numbers published so far, in order."""
    numbers: list[int] = []
    with deployment.redis.client() as client, client.pubsub() as subscription:  # type: ignore[no-untyped-call]
        subscription.subscribe(instance_channel(deployment.runtime().settings, instance))
        wait_until(lambda: subscription.get_message(timeout=1), "the subscription stands")

        def read() -> list[int]:
            while (message := subscription.get_message(timeout=0.1)) is not None:
                content: dict[str, Any] = json.loads(message["data"])
                numbers.extend(event["seq"] for event in content.get("events", ()))
            return numbers

        yield read


def enqueue(deployment: Deployment, instance: str, kind: str, key: str, value: str, expires_in: str = "") -> str:
    """Submit a task by a program that writes to the database itself; return its id."""
    return deployment.run(["-c", SUBMIT, instance, kind, key, value, expires_in]).stdout.strip()


def run_with_lost_child(deployment: Deployment, instance: str) -> WorkerProcess:
    """Run a task whose pool child is killed, and let another expire meanwhile; return the worker.

    Its main process writes the loss. Only its sweeper can write that a task expires, whose message no child takes: the
    next attempt of the lost one is marked as queued by the sweeper or by the child that claims it, whichever is first.
    """
    worker = deployment.start_worker(concurrency=1)
    opened = deployment.root / "opened"
    task_id = enqueue(deployment, instance, "paused", "path", str(opened))
    deployment.wait_for_step(instance, task_id, "wait")
    deployment.wait_for_task(enqueue(deployment, instance, "echo", "message", "late", expires_in="0.1"), "EXPIRED")
    worker.kill_child()
    deployment.wait_for_step(instance, task_id, "wait", attempt=2)
    opened.touch()
    deployment.wait_for_task(task_id, "COMPLETED")
    return worker


@pytest.mark.long
def test_every_process_that_writes_sends_and_publishes_each_event_once(
    new_deployment: Callable[..., Deployment],
) -> None:
    deployment = new_deployment(env=BRISK)
    instance = deployment.new_instance()
    records = connect_receiver(deployment)
    with published_numbers(deployment, instance) as published:
        worker = run_with_lost_child(deployment, instance)
        web = deployment.start_web()
        body = {"kind": "echo", "input": {"message": "hello"}}
        answer = httpx2.post(f"{web.url}/api/v1/instances/{instance}/tasks", json=body, timeout=60)
        assert answer.status_code == 201, answer.text
        beat = deployment.start_beat()
        add = "schedule add hello echo --every 1s --set message=hello --instance"
        schedule = deployment.cli(*add.split(), instance).stdout.strip()
        beat.wait_for(lambda: "beat" in {kind for kind, _ in read_records(records, worker.pid).values()}, "it fires")
        deployment.cli("schedule", "pause", schedule)
        for task_id in {event["task_id"] for event in deployment.events(instance)}:
            deployment.wait_for_task(task_id)

        expected = list(range(1, len(deployment.events(instance)) + 1))

        def have_arrived() -> bool:
            counts = [len(numbers) for _, numbers in read_records(records, worker.pid).values()]
            return min(sum(counts), len(published())) >= len(expected)

        wait_until(have_arrived, "every event is received and published")
        received, messages = read_records(records, worker.pid), sorted(published())
    assert sorted(seq for _, numbers in received.values() for seq in numbers) == expected
    assert all(numbers == sorted(numbers) for _, numbers in received.values())
    assert {kind for kind, _ in received.values()} == KINDS
    assert messages == expected
