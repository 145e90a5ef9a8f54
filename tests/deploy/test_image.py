"""The image's commands run as the image would run them, in the order of the compose file, behind its nginx."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx2
import psycopg
import pytest

from tests.deploy.image import PYTHON, Image, Services
from tests.harness.program import ROOT, Program, make_directory
from tests.harness.servers import PostgresServer, RedisBinary, RedisServer
from tests.harness.services import require
from tests.harness.system.ports import answers, free_port
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.external, pytest.mark.timeout(600)]
SECRETS = {"POSTGRES_PASSWORD": "not-asked-for", "SWALLOWTAIL_SECRET_KEY": "0123456789abcdef" * 4}


class Nginx(Program):
    """A real nginx with the configuration of the compose file."""

    def __init__(self, root: Path, ports: dict[str, int]) -> None:
        self.port = free_port()
        text = (ROOT / "deploy/nginx.conf").read_text().replace("listen 8000", f"listen 127.0.0.1:{self.port}")
        for name, port in ports.items():
            text = text.replace(f"{name}:8000", f"127.0.0.1:{port}")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        private = "access_log off;\n" + "".join(f"{kind}_temp_path {root}/nginx-{kind};\n" for kind in kinds)
        path = root / "nginx.conf"
        path.write_text(text.replace("http {", f"http {{\n{private}", 1))
        orders = f"daemon off; pid {root}/nginx.pid; error_log stderr;"
        command = [require("nginx"), "-c", str(path), "-e", "stderr", "-g", orders]
        super().__init__("nginx", command, log=root / "nginx.log", cwd=root)

    def ready(self) -> bool:
        """It accepts connections."""
        return answers(self.port)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if not Path(PYTHON).exists():
        pytest.skip(f"this machine has no {PYTHON}")
    root = make_directory()
    root.chmod(0o755)
    image = Image(root)
    image.build()
    yield image
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def services(image: Image, postgres_server: PostgresServer, redis_binary: RedisBinary) -> Iterator[Services]:
    directory = make_directory()
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE swallowtail LOGIN")
        connection.execute("CREATE DATABASE swallowtail OWNER swallowtail")
    with RedisServer(directory, binary=redis_binary, tcp=True).start() as redis:
        own = re.search(r"127\.0\.0\.1:\d+", redis.url)
        assert own is not None
        addresses = {
            "postgres:5432": f"127.0.0.1:{postgres_server.port}",
            "redis:6379": own[0],
        }
        yield Services(image, addresses, SECRETS, {"web-1": free_port(), "web-2": free_port()})
    shutil.rmtree(directory, ignore_errors=True)


def test_everything_starts_in_order_and_serves_behind_nginx(services: Services, image: Image) -> None:
    order = services.in_order()
    assert order.index("release") < order.index("web-1") < order.index("nginx")
    with ExitStack() as running:
        for name in order:
            if name in ("postgres", "redis"):
                continue
            if name == "nginx":
                nginx = running.enter_context(Nginx(image.root, services.ports).start())
                continue
            program = running.enter_context(services.start(name))
            if name == "release":
                assert program.wait(timeout=120) == 0, program.tail()
            elif name in services.ports:
                program.wait_for(partial(services.is_healthy, name), f"{name} is healthy", timeout=120)
            else:
                running.callback(program.terminate)
        url = f"http://127.0.0.1:{nginx.port}"
        wait_until(lambda: httpx2.get(f"{url}/readyz").status_code == 200, "nginx serves a ready process")
        refused = httpx2.get(f"{url}/api/v1/instances", headers={"Host": "localhost"})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert httpx2.get(f"{url}/login", headers={"Host": "localhost"}).status_code == 200


def test_the_image_runs_as_a_user_without_rights(image: Image) -> None:
    assert image.user == "10001:10001"
    assert image.command == ["swallowtail", "web"]
