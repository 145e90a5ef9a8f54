"""Tiers, fixtures and the end of every started process, for all tests.

Tiers: `unit` (this process only), `service` (real servers), `journey` (real processes of ours), `browser`, `chaos`.
A test has the tier of its mark, else that of its directory, else `unit`. A `unit` test cannot use a fixture that
starts programs. Tests that need PostgreSQL or RabbitMQ are marked `external` too, journeys that repeat one in another
server mode `ways`, and slow tests `long`: `scripts/test` leaves these three to `.ci/run`.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from playwright.sync_api import Browser, Page

from tests.harness.browser import Complaints, open_browser, open_page
from tests.harness.caches.authorities import read_authorities_once
from tests.harness.caches.routes import compile_routes_once
from tests.harness.deployment import Deployment, remove_templates
from tests.harness.program import QUICK, kill_all, make_directory, running
from tests.harness.run.file_order import put_the_long_first
from tests.harness.run.shared_deployment import close_shared, end_if_unused, note_last_use, open_shared
from tests.harness.servers import PostgresServer, RabbitServer, RedisBinary, RedisServer
from tests.harness.system.distributions import built_wheel, distributions, installed_base, installed_server

__all__ = ["built_wheel", "distributions", "installed_base", "installed_server"]
TESTS = Path(__file__).parent
TIERS = ("unit", "service", "journey", "browser", "chaos")
TIER_OF_DIRECTORY = {"journey": "journey", "browser": "browser", "chaos": "chaos"}
#: Tiers whose tests are in the directory of that name only.
APART = ("browser", "chaos")
STARTING_FIXTURES = {
    "deployment",
    "new_deployment",
    "shared_deployment",
    "redis_server",
    "redis_url",
    "postgres_server",
    "postgres_url",
    "rabbit_server",
    "rabbit_url",
    "browser",
    "page",
}
#: In the id of a test, or among its fixtures: the servers that no wheel brings along.
EXTERNAL = ("postgres", "psycopg", "rabbit")
#: Files, below this directory, that are `long` as a whole.
LONG_FILES = {
    "cli/test_access_commands.py",
    "cli/test_audit_commands.py",
    "cli/test_cli_identity.py",
    "cli/test_cli_instance_data.py",
    "cli/test_cli_schedules_and_instances.py",
    "delivery/access/test_access_messages.py",
    "journey/access/test_live_views.py",
    "journey/campaign/test_from_cli.py",
    "journey/access/test_polling.py",
    "journey/access/test_views.py",
    "journey/delivery/test_server_modes.py",
    "journey/delivery/test_external_emits.py",
    "journey/limits/test_request_guard.py",
    "journey/limits/test_floods.py",
    "journey/deployment/test_forged_messages.py",
    "journey/limits/test_shared_limits.py",
    "journey/access/test_oidc.py",
    "journey/access/test_refused_sockets.py",
    "service/test_tls.py",
    "setup/processes/test_embedded_redis.py",
}
#: In the id of a journey that goes another way than the default.
OTHER_WAYS = re.compile(r"[\[-](stock|gevent|threading)\b")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which Redis the tests run on."""
    parser.addoption(
        "--redis", choices=("wheel", "system"), default="wheel", help="Redis of the tests: the wheel's or the system's"
    )
    parser.addoption("--cases", type=int, default=100, help="Generated cases of each test in tests/fuzz")
    parser.addoption("--distributions", type=Path, help="Directory of a wheel and an sdist to test")


def pytest_configure(config: pytest.Config) -> None:
    """Keep a developer's own settings out of the tests."""
    for name in [name for name in os.environ if name.startswith("SWALLOWTAIL_")]:
        del os.environ[name]
    os.environ.update(QUICK)
    compile_routes_once()
    read_authorities_once()
    # As our programs write them. What structlog does by itself, with colours and variables, costs seconds for each.
    *others, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, plain])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test exactly one tier, before `-m` selects by it."""
    wrong = [problem for item in items if (problem := _give_tier(item))]
    if wrong:
        raise pytest.UsageError("\n".join(wrong))
    put_the_long_first(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what was collected, which stays to the end, out of every later look for garbage."""
    note_last_use(session.items)
    gc.collect()
    gc.freeze()


def _give_tier(item: pytest.Item) -> str | None:
    """Mark the item; what is wrong with it, if anything."""
    tiers = sorted({mark.name for mark in item.iter_markers() if mark.name in TIERS})
    if len(tiers) > 1:
        return f"{item.nodeid} is marked {' and '.join(tiers)}: one tier each"
    tier = tiers[0] if tiers else _tier_of(item.path)
    if not tiers:
        item.add_marker(tier)
    if any(name in text for text in (item.nodeid, *getattr(item, "fixturenames", ())) for name in EXTERNAL):
        item.add_marker("external")
    if item.path.relative_to(TESTS).as_posix() in LONG_FILES:
        item.add_marker("long")
    if tier == "journey" and OTHER_WAYS.search(item.nodeid):
        item.add_marker("ways")
    if tier in APART and tier not in item.path.relative_to(TESTS).parts:
        return f"{item.nodeid} is a {tier} test: .ci/run looks for those in tests/{tier} only"
    starts = STARTING_FIXTURES & set(getattr(item, "fixturenames", ()))
    if tier == "unit" and starts:
        return f"{item.nodeid} uses {', '.join(sorted(starts))}: mark it service or journey"
    return None


def _tier_of(path: Path) -> str:
    # Relative to the tests: the name of the clone's directory is no tier.
    parts = path.relative_to(TESTS).parts
    return next((TIER_OF_DIRECTORY[part] for part in parts if part in TIER_OF_DIRECTORY), "unit")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the running programs with a failure."""
    report = yield
    if report.failed:
        logged = [(f"log of {program.name}", program.test_tail()) for program in running()]
        report.sections += [section for section in logged if section[1]]
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Announce a new test to the programs that run."""
    end_if_unused(item)
    for program in running():
        program.begin_test()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the shared deployment, and what a broken fixture may have left."""
    close_shared()
    kill_all()
    remove_templates()


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a test, or what it imported, set up for the logging of a whole process."""
    root = logging.getLogger()
    handlers, level, structured = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**structured)


@pytest.fixture(scope="session")
def redis_binary(request: pytest.FixtureRequest) -> RedisBinary:
    """Whose Redis-compatible server the tests run on."""
    binary: RedisBinary = request.config.getoption("--redis")
    return binary


@pytest.fixture
def redis_server(redis_binary: RedisBinary) -> Iterator[RedisServer]:
    """A Redis of this test's own, on a unix socket; the test may kill, pause and restart it."""
    directory = make_directory()
    server = RedisServer(directory, binary=redis_binary)
    with server.start():
        yield server
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of this test's own Redis."""
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run; take databases from it, and leave it running."""
    server = PostgresServer()
    with server.start():
        yield server
    server.discard()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of an empty PostgreSQL database of this test's own."""
    return postgres_server.create_database()


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer]:
    """One RabbitMQ broker for the whole run; isolate by queue names or virtual hosts, and leave it running."""
    server = RabbitServer()
    with server.start():
        yield server
    server.discard()


@pytest.fixture(scope="session")
def rabbit_url(rabbit_server: RabbitServer) -> str:
    """The URL of that broker."""
    return rabbit_server.url


@pytest.fixture
def new_deployment(redis_binary: RedisBinary) -> Iterator[Callable[..., Deployment]]:
    """Make opened deployments with options (see Deployment), as many as the test likes; all are closed at its end."""
    deployments: list[Deployment] = []

    def make(**options: Any) -> Deployment:
        deployment = Deployment(**{"redis_binary": redis_binary, **options})
        deployments.append(deployment)
        return deployment.open()

    yield make
    for deployment in reversed(deployments):
        deployment.close()


@pytest.fixture
def deployment(new_deployment: Callable[..., Deployment]) -> Deployment:
    """A deployment of this test's own, with nothing but Redis running in it."""
    return new_deployment()


@pytest.fixture
def shared_deployment(redis_binary: RedisBinary) -> Deployment:
    """One deployment with two web processes and a worker for the whole run: for tests that break nothing.

    Use an instance of your own (`shared_deployment.new_instance()`).
    """
    return open_shared(redis_binary)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium for each file: its start costs more than most of the tests."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[tuple[Page, Complaints]]:
    """A page as in a new Chromium, and its complaints, which the test may empty but must not leave behind."""
    with open_page(chromium) as (page, complaints):
        yield page, complaints
        assert complaints.problems == []


@pytest.fixture
def page(browser: tuple[Page, Complaints]) -> Page:
    """A page as in a new Chromium; the test fails if the page complains of anything."""
    return browser[0]
