"""Web processes behind a real nginx, as in the example: websockets to any, polling to the same one.

Four web processes have three addresses; two share the first. Their settings are those at the head of the example, so
callers must authenticate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest
import websocket

from swallowtail.app.core.identity import api_tokens, users
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import Actor, Caller
from tests.harness.deployment import Deployment
from tests.harness.program import ROOT, Program, make_directory
from tests.harness.received_events import assert_contiguous
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.servers import RedisBinary
from tests.harness.services import require
from tests.harness.system.ports import answers, free_port
from tests.journey.authenticated_deployment import Tenants, find_refusal
from tests.journey.event_writer import Author, BusyAuthor

pytestmark = pytest.mark.long

CONFIGURATION = ROOT / "examples/nginx.conf"
EXPORT = re.compile(r"^#\s+export (SWALLOWTAIL_.+)$", re.MULTILINE)
Change = Callable[[str], str]


class Nginx(Program):
    """A real nginx in front of a deployment's web processes."""

    def __init__(self, deployment: Deployment, change: Change = str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        text = change(CONFIGURATION.read_text(encoding="utf-8"))
        ours = text.replace("listen 8000", f"listen 127.0.0.1:{self.port}").replace(
            "worker_processes auto", "worker_processes 2"
        )
        for number, web in enumerate(deployment.webs, start=1):
            ours = ours.replace(f"127.0.0.1:800{number}", f"127.0.0.1:{web.port}")
        # Not the deployment's directory, which is closed to other users, such as nginx's processes.
        root = make_directory()
        root.chmod(0o755)
        path = root / "nginx.conf"
        path.write_text(ours.replace("http {", f"http {{\n{_private(root)}", 1), encoding="utf-8")
        orders = f"daemon off; pid {root}/nginx.pid; error_log stderr;"
        super().__init__(
            "nginx",
            [require("nginx"), "-c", str(path), "-e", "stderr", "-g", orders],
            log=root / "nginx.log",
            cwd=root,
        )

    def ready(self) -> bool:
        """It accepts connections."""
        return answers(self.port)


def _private(root: Path) -> str:
    """Where this nginx keeps what the distribution's keeps in its own places."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "access_log off;\n" + "".join(f"{kind}_temp_path {root}/nginx-{kind};\n" for kind in kinds)


class PollingRecorder(Recorder):
    """A client of section 1 that polls; with `upgrade` it begins so and goes on over a websocket."""

    def __init__(self, url: str, auth: Mapping[str, str], *, upgrade: bool) -> None:
        super().__init__(url, auth=dict(auth), transports=["polling", "websocket"] if upgrade else ["polling"])

    @property
    def transport(self) -> str:
        """How messages travel now."""
        return str(self._client.transport())


def as_written() -> dict[str, object]:
    """What the example's head exports, on the embedded Redis of the deployment."""
    exported = dict(word.split("=", 1) for line in EXPORT.findall(CONFIGURATION.read_text()) for word in line.split())
    assert exported
    return {"auth": "auto", "redis_url": "", **exported}


def start_three(deployment: Deployment) -> Deployment:
    """Serve as the example says: two processes on one address, and two with an address each."""
    webs = [
        deployment.start_web(env={"processes": 2}, wait=False),
        *(deployment.start_web(wait=False) for _ in range(2)),
    ]
    for web in webs:
        web.wait_ready()
    return deployment


@pytest.fixture(scope="module")
def three(redis_binary: RedisBinary) -> Iterator[Deployment]:
    require("nginx")
    with Deployment(redis_binary=redis_binary, env=as_written()) as opened:
        yield start_three(opened)


def client_auth(deployment: Deployment, instance_id: str) -> dict[str, str]:
    """The credentials of a member of an instance."""
    return {"token": Tenants(deployment).add(f"viewer-of-{instance_id}", "viewer", instance_id)}


@pytest.fixture(scope="module")
def boss(three: Deployment) -> dict[str, str]:
    """The headers of a superuser."""
    view = users.create_user(three.runtime(), "boss", "correct horse battery", is_superuser=True)
    caller = Caller(Actor("user", view["id"], "boss", user_id=view["id"], is_superuser=True), "rest")
    created = api_tokens.issue_personal(three.runtime().by(caller), NewToken(name="test"))
    return {"Authorization": f"Bearer {created['secret']}"}


@pytest.fixture
def nginx(three: Deployment) -> Iterator[Nginx]:
    with Nginx(three) as program:
        yield program


def connections(deployment: Deployment, boss: dict[str, str]) -> list[int]:
    """How many clients there are at each address."""
    matches = []
    for web in deployment.webs:
        lines = httpx2.get(web.url + "/metrics", headers=boss, timeout=30).text.splitlines()
        matches += [int(float(line.split()[1])) for line in lines if line.startswith("swallowtail_clients ")]
    return matches


def test_websockets_connect_and_reconnect_to_any_process(three: Deployment, nginx: Nginx, boss: dict[str, str]) -> None:
    author = Author(three)
    author.play()
    auth = client_auth(three, author.instance_id)
    clients = [ResumingRecorder(nginx.url, auth=auth).connect() for _ in range(8)]
    assert connections(three, boss) == [4, 2, 2]
    for client in clients:
        client.follow(author.instance_id, epoch=author.epoch, seq=0)
    with BusyAuthor(author):
        for client in clients:
            client.wait_for_log(author.instance_id, author.head + 5)
            client.drop_and_resume()
            client.wait_for_log(author.instance_id, author.head + 5)
    for client in clients:
        assert client.wait_for_log(author.instance_id, author.head) == author.events
        assert (client.positions[author.instance_id].snapshots, client.positions[author.instance_id].repeats) == ([], 0)
        client.disconnect()


def test_clients_of_a_killed_process_continue_at_the_others(new_deployment: Callable[..., Deployment]) -> None:
    require("nginx")
    deployment = start_three(new_deployment(env=as_written()))
    author = Author(deployment)
    author.play()
    auth = client_auth(deployment, author.instance_id)
    with Nginx(deployment) as nginx:
        clients = [ResumingRecorder(nginx.url, auth=auth).connect() for _ in range(4)]
        for client in clients:
            client.follow(author.instance_id, epoch=author.epoch, seq=0)
        deployment.webs[0].kill()
        author.play()
        clients[0].wait_until(lambda: sum(not client.is_connected for client in clients) == 2, "two connections end")
        for client in clients:
            if not client.is_connected:
                client.drop()
                client.resume()
        author.play()
        for client in clients:
            assert client.wait_for_log(author.instance_id, author.head) == author.events
            assert_contiguous(client.log(author.instance_id))
            client.disconnect()


@pytest.mark.parametrize("upgrade", [False, True], ids=["polling", "polling and upgrade"])
def test_a_polling_session_stays_at_its_process(three: Deployment, nginx: Nginx, upgrade: bool) -> None:
    author = Author(three)
    with PollingRecorder(nginx.url, client_auth(three, author.instance_id), upgrade=upgrade) as client:
        client.wait_until(
            lambda: client.transport == ("websocket" if upgrade else "polling"), "the transport is settled"
        )
        client.subscribe(author.instance_id)
        for _ in range(10):
            author.play()
        client.wait_for_seq(author.instance_id, author.head)
        assert client.events() == author.events


def test_polling_without_stickiness_does_not_work(three: Deployment) -> None:
    """The control: why the example has `ip_hash`."""
    with Nginx(three, change=lambda text: text.replace("ip_hash;", "")) as nginx:
        opened = httpx2.get(f"{nginx.url}/socket.io/?EIO=4&transport=polling", timeout=30)
        sid = opened.text.partition('"sid":"')[2].partition('"')[0]
        address = f"{nginx.url}/socket.io/?EIO=4&transport=polling&sid={sid}"
        statuses = {httpx2.post(address, content="40", timeout=30).status_code for _ in range(8)}
        assert 400 in statuses


def test_the_api_and_the_pages_are_there_for_authenticated_callers(
    three: Deployment, nginx: Nginx, boss: dict[str, str]
) -> None:
    for path in ("/", "/readyz", "/api/v1/agents"):
        assert httpx2.get(nginx.url + path, headers=boss, timeout=30, follow_redirects=True).status_code == 200
    assert httpx2.get(f"{nginx.url}/readyz", headers={"Host": "swallowtail.example.org"}, timeout=30).status_code == 200
    for path, status in (("/", 401), ("/api/v1/instances", 401), ("/metrics", 401), ("/readyz", 200)):
        assert httpx2.get(nginx.url + path, timeout=30).status_code == status, path
    assert find_refusal(nginx.url)["data"]["code"] == "unauthenticated"


def test_an_open_server_is_not_opened_to_others_by_the_proxy() -> None:
    require("nginx")
    with Deployment(env={"auth": "open"}) as alone:
        alone.start_web()
        with Nginx(alone, change=lambda text: re.sub("800[23]", "8001", text)) as nginx:
            for path in ("/", "/readyz", "/api/v1/agents", "/socket.io/?EIO=4&transport=polling"):
                answer = httpx2.get(nginx.url + path, timeout=30)
                assert (answer.status_code, answer.json()["code"]) == (421, "not_from_here")
            with pytest.raises(websocket.WebSocketBadStatusException) as refused:
                websocket.create_connection(f"ws://127.0.0.1:{nginx.port}/socket.io/?EIO=4&transport=websocket", 60)
            assert refused.value.status_code == 421
