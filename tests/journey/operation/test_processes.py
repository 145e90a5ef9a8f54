"""Three web processes on one address: connections are spread, metrics added up, killed processes replaced."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator

import httpx2
import pytest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from swallowtail.app.core.database.connection_budget import count_pool
from swallowtail.app.core.ledger.publisher import instance_channel
from tests.clients.subjects import Closing, PythonSubject
from tests.harness.deployment import Deployment
from tests.harness.processes import WebProcess
from tests.harness.program import ROOT
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.system.process_guard import session_pids
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author, BusyAuthor

pytestmark = pytest.mark.long

NewDeployment = Callable[..., Deployment]
#: So many that one process of three has none less than once in a hundred million times.
CLIENTS = 48
every_mode = pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])


def start(deployment: Deployment, mode: str = "eventlet") -> WebProcess:
    return deployment.start_web(env={"processes": 3, "async_mode": mode, "restart_pause": 0.1})


def count(web: WebProcess, name: str, **labels: str) -> float:
    """A number of the metrics that any of the processes answers with."""
    text = httpx2.get(web.url + "/metrics", timeout=30).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
    return sum(s.value for s in samples if labels.items() <= s.labels.items())


def clients_of_each(deployment: Deployment, web: WebProcess) -> list[int]:
    """How many clients each process has, from the files that they count in."""
    files = sorted((deployment.root / "metrics" / f"127.0.0.1-{web.port}").glob("gauge_livesum_*.db"))
    matches = [list(MmapedDict.read_all_values_from_file(str(f))) for f in files]  # type: ignore[no-untyped-call]
    return [int(value) for values in matches for key, value, *_ in values if '"swallowtail_clients"' in key]


def most_connections(deployment: Deployment) -> int:
    """How many connections to the database one process may have."""
    pool = count_pool(deployment.runtime().db.engine)
    assert pool is not None
    return pool.limit


def left(leader: int) -> list[int]:
    return session_pids(leader)


@pytest.fixture
def clients() -> Iterator[list[ResumingRecorder]]:
    opened: list[ResumingRecorder] = []
    yield opened
    for client in opened:
        client.drop()


@every_mode
def test_clients_are_spread_and_every_one_gets_every_event(
    new_deployment: NewDeployment, clients: list[ResumingRecorder], mode: str
) -> None:
    deployment = new_deployment()
    web = start(deployment, mode)
    author = Author(deployment)
    author.play()
    for _ in range(CLIENTS):
        clients.append(ResumingRecorder(web.url).connect())
    assert sum(clients_of_each(deployment, web)) == CLIENTS
    assert min(clients_of_each(deployment, web)) > 0
    for client in clients:
        client.follow(author.instance_id, epoch=author.epoch, seq=0)
    with BusyAuthor(author, pause=0.05):
        clients[0].wait_for_log(author.instance_id, author.head + 20)
        clients[1].drop_and_resume()
        clients[0].wait_for_log(author.instance_id, author.head + 20)
    received = author.events
    for client in clients:
        assert client.wait_for_log(author.instance_id, len(received)) == received
        assert (client.positions[author.instance_id].snapshots, client.positions[author.instance_id].repeats) == ([], 0)
    # Whichever process answers, it answers for all.
    wait_until(
        lambda: {count(web, "swallowtail_clients") for _ in range(6)} == {float(CLIENTS)}, "all clients are counted"
    )
    all_of_them = 3 * most_connections(deployment)
    wait_until(lambda: count(web, "swallowtail_database_pool_limit") == all_of_them, "all pools are counted")
    durable = count(web, "swallowtail_delivered_total", kind="durable")
    assert durable >= CLIENTS * len(received)
    answering = {httpx2.get(web.url + "/readyz", timeout=30).json()["process"] for _ in range(40)}
    assert answering <= set(web.members())
    assert len(answering) > 1


def test_a_process_subscribes_only_to_the_instances_of_its_clients(
    new_deployment: NewDeployment, clients: list[ResumingRecorder]
) -> None:
    deployment = new_deployment()
    web = start(deployment)
    few, many = Author(deployment), Author(deployment)
    names = deployment.runtime().settings
    channels = [instance_channel(names, author.instance_id) for author in (few, many)]

    def listeners() -> list[int]:
        with deployment.redis.client() as redis:
            return [number for _, number in redis.pubsub_numsub(*channels)]

    assert listeners() == [0, 0]
    for _ in range(CLIENTS):
        clients.append(ResumingRecorder(web.url).connect())
        clients[-1].follow(many.instance_id)
    clients[0].follow(few.instance_id)
    wait_until(lambda: listeners() == [1, 3], "each process subscribes to what it needs", seen=listeners)
    clients[0].unsubscribe(few.instance_id)
    wait_until(lambda: listeners() == [0, 3], "the channel is left with its only client", seen=listeners)
    while clients:
        clients.pop().drop()
    wait_until(lambda: listeners() == [0, 0], "the channel is left with the last client", seen=listeners)
    with deployment.redis.client() as redis:
        assert redis.pubsub_channels(instance_channel(names, "*")) == []


@every_mode
def test_clients_of_a_killed_process_come_back_to_the_address_and_miss_nothing(
    new_deployment: NewDeployment, mode: str
) -> None:
    deployment = new_deployment()
    web = start(deployment, mode)
    author = Author(deployment)
    author.play()
    with Closing() as closing:
        clients = [PythonSubject(web.url) for _ in range(18)]
        for client in clients:
            closing.callback(client.close)
            client.subscribe(author.instance_id, snapshot=True)
            client.wait_until_live()
        first = author.head
        delivered = count(web, "swallowtail_delivered_total")
        victim = web.members()[0]
        with BusyAuthor(author, pause=0.05):
            os.kill(victim, signal.SIGKILL)
            web.wait_for_log("ended by SIGKILL; starting it again in 0.1 s")
            wait_until(lambda: len(web.members()) == 3 and victim not in web.members(), "there are three again")
            web.wait_for(lambda: web.log_text().count("listening on") == 4, "the new process listens")
        received = author.events[first:]
        for client in clients:
            client.wait_for(author.instance_id, author.head, timeout=60)
            assert client.inbox.events() == received
            assert client.inbox.count("snapshot") == 1
        assert 0 < sum(client.losses for client in clients) < len(clients)
        wait_until(lambda: count(web, "swallowtail_clients") == len(clients), "the dead one's clients are not counted")
        assert count(web, "swallowtail_delivered_total") > delivered
        all_of_them = 3 * most_connections(deployment)
        wait_until(lambda: count(web, "swallowtail_database_pool_limit") == all_of_them, "all pools are counted")


@every_mode
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_all(new_deployment: NewDeployment, mode: str, number: signal.Signals) -> None:
    deployment = new_deployment()
    web = start(deployment, mode)
    clients = [Recorder(web.url).connect() for _ in range(6)]
    leader = web.pid
    assert len(left(leader)) == 4
    web.signal(number)
    wait_until(lambda: not web.is_running, "the parent ends", seen=web.tail)
    assert (web.returncode, left(leader)) == (0, [])
    for client in clients:
        wait_until(lambda client=client: not client.is_connected, "the connection ends")  # type: ignore[misc]
        client.drop()
    assert "Traceback" not in web.log_text()
    assert not (deployment.root / "metrics" / f"127.0.0.1-{web.port}").exists()


def test_nothing_outlives_a_killed_parent(new_deployment: NewDeployment) -> None:
    deployment = new_deployment()
    web = start(deployment)
    leader = web.pid
    with Recorder(web.url) as client:
        web.kill_main()
        wait_until(lambda: left(leader) == [], "its processes have ended too", seen=lambda: left(leader))
        wait_until(lambda: not client.is_connected, "the connection ends")
        client.drop()
    web.start()
    assert count(web, "swallowtail_clients") == 0


def test_long_polling_is_refused_with_several_processes(new_deployment: NewDeployment) -> None:
    web = start(new_deployment())
    for _ in range(6):
        answer = httpx2.get(f"{web.url}/socket.io/?EIO=4&transport=polling", timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (400, 0)
    with Recorder(web.url) as client:
        assert client.count("connected") == 1


def test_the_port_may_be_chosen_by_the_system(deployment: Deployment) -> None:
    program = deployment.command("chosen", ["-m", "swallowtail.app.wsgi", "--processes", "2"], env={"port": 0})
    program.wait_for(lambda: program.log_text().count("listening on") == 2, "both listen")
    received = re.findall(
        r"^(?:2 web processes|listening) on (http://127\.0\.0\.1:\d+)$", program.log_text(), re.MULTILINE
    )
    assert len(received) == 3
    assert len(set(received)) == 1
    with Recorder(received[0]) as client:
        assert client.count("connected") == 1
    assert program.terminate() == 0


@pytest.mark.parametrize("first", ["1", "2"])
def test_an_address_in_use_is_reported(deployment: Deployment, first: str) -> None:
    web = deployment.start_web(env={"processes": first})
    for number, processes in enumerate(("1", "2")):
        program = deployment.command(
            f"late{number}", ["-m", "swallowtail.app.wsgi", "--processes", processes], env={"port": web.port}
        )
        assert program.wait() == 1
        assert f"cannot listen on 127.0.0.1:{web.port}" in program.log_text()
        assert "Traceback" not in program.log_text()
    assert web.ready()


@pytest.mark.parametrize("number", ["0", "many", "257"])
def test_a_number_that_cannot_be_used_is_refused_by_name(deployment: Deployment, number: str) -> None:
    done = deployment.run(["-m", "swallowtail.app.wsgi", "--processes", number], check=False)
    assert done.returncode == 2
    assert "SWALLOWTAIL_PROCESSES" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_that_only_a_child_finds_unusable_end_the_parent(deployment: Deployment) -> None:
    (deployment.root / "psycopg2.py").write_text(
        "raise ModuleNotFoundError('No module named psycopg2', name='psycopg2')"
    )
    env = {
        "processes": 2,
        "port": 0,
        "database_url": "postgresql://127.0.0.1/nothing",
        "PYTHONPATH": os.pathsep.join([str(deployment.root), str(ROOT)]),
    }
    program = deployment.command("unusable", ["-m", "swallowtail.app.wsgi"], env=env)
    assert program.wait() == 2
    assert "SWALLOWTAIL_DATABASE_URL" in program.log_text()
    assert "Traceback" not in program.log_text()


def test_the_parent_loads_nothing_of_the_application(deployment: Deployment) -> None:
    heavy = {"flask", "eventlet", "sqlalchemy", "socketio", "redis"}
    modules = "swallowtail.app.wsgi, swallowtail.app.web.serving.multiprocess, sys"
    script = f"import {modules}; print(sorted({heavy} & set(sys.modules)))"
    assert deployment.run(["-c", script]).stdout == "[]\n"
