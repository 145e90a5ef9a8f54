"""PostgreSQL restarts under a web process: writes wait for it, as documented."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import pytest

from tests.harness.deployment import Deployment
from tests.harness.servers import PostgresServer
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.service, pytest.mark.long]

SUBMISSION = {"kind": "probe", "title": "t", "input": {}}
WRITERS = 6


@pytest.fixture
def deployment(own_postgres: PostgresServer, new_deployment: Callable[..., Deployment]) -> Deployment:
    deployment = new_deployment(database_url=own_postgres.create_database())
    deployment.start_web()
    return deployment


class Writers:
    """Several clients that submit without a pause; `answers` holds all responses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[tuple[int, str]] = []
        self.begun = 0
        self.stopping = threading.Event()

    def write(self) -> None:
        while not self.stopping.is_set():
            self.begun += 1
            answer = httpx2.post(self.url, json=SUBMISSION, timeout=120)
            self.answers.append((answer.status_code, answer.text if answer.status_code != 201 else ""))


def test_posts_are_answered_201_after_every_kind_of_restart(
    own_postgres: PostgresServer, deployment: Deployment
) -> None:
    instance = deployment.new_instance()
    writers = Writers(f"{deployment.webs[0].url}/api/v1/instances/{instance}/tasks")
    with ThreadPoolExecutor(WRITERS) as pool:
        running: list[Future[None]] = [pool.submit(writers.write) for _ in range(WRITERS)]
        try:
            for stop in ("fast", "kill", "fast"):
                _see_answers(writers)
                _stop(own_postgres, stop)
                # No request is answered while it is unavailable, so each client has one open by then.
                answered = len(writers.answers)
                wait_until(lambda: writers.begun >= len(writers.answers) + WRITERS, "all wait")
                assert len(writers.answers) <= answered + WRITERS
                own_postgres.start()
            _see_answers(writers)
        finally:
            writers.stopping.set()
        for each in running:
            each.result()
    assert set(writers.answers) == {(201, "")}
    submitted = [event for event in deployment.events(instance) if event["data"].get("status") == "SUBMITTED"]
    assert len(submitted) == len(writers.answers), "none is lost or repeated"


def test_a_post_begun_while_the_server_is_down_is_answered_201_after_it_is_back(
    own_postgres: PostgresServer, deployment: Deployment
) -> None:
    url = f"{deployment.webs[0].url}/api/v1/instances/{deployment.new_instance()}/tasks"
    _stop(own_postgres, "fast")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx2.post, url, json=SUBMISSION, timeout=120)
        with pytest.raises(TimeoutError):
            answer.result(timeout=1.0)
        own_postgres.start()
        assert answer.result().status_code == 201


def _see_answers(writers: Writers) -> None:
    before = len(writers.answers)
    wait_until(lambda: len(writers.answers) > before + 2 * WRITERS, "they are answered")


def _stop(server: PostgresServer, how: str) -> None:
    if how == "kill":
        server.kill()
    else:
        server.signal(signal.SIGINT)
        server.wait()
