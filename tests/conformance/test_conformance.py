"""Runs every case on Swallowtail, Node's socket.io and stock Flask-SocketIO, and checks the table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.delivery.stock_peer import StockServer
from tests.conformance.line import Peer
from tests.conformance.peers import EchoNode, EchoWeb
from tests.conformance.table import CASES, Verdicts, rows, summary
from tests.harness.deployment import Deployment
from tests.harness.program import ROOT
from tests.harness.servers import RedisBinary

pytestmark = [pytest.mark.journey, pytest.mark.long]

#: Cases that wait for a heartbeat, or in vain, take a minute each, and most of the others no time.
AT_ONCE = 48
#: Ways to serve beside the usual one; none has the fast path.
MODES: dict[str, dict[str, object]] = {
    "stock engine": {"engine": "stock"},
    "gevent": {"async_mode": "gevent"},
    "threading": {"async_mode": "threading"},
}
#: Longer than the pause before the first ping, as it is by default, and no longer than needed. The time in which a
#: request has to come is shorter: it must not end a poll.
BRIEF = {"connect_timeout": 30, "request_seconds": 15}

Servers = dict[str, EchoWeb | EchoNode | StockServer]


def examine(peer: Peer) -> Verdicts:
    """Run every case; return the fault of each, empty where it passed."""

    def run(name: str) -> str:
        try:
            CASES[name](peer)
        except Exception as wrong:
            return f"{type(wrong).__name__}: {wrong}"
        return ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(CASES, pool.map(run, CASES), strict=True))


@pytest.fixture(scope="module")
def verdicts(redis_binary: RedisBinary) -> Iterator[dict[str, Verdicts]]:
    """The results of each server."""
    with Deployment(redis_binary=redis_binary, tcp=True) as deployment, contextlib.ExitStack() as started:
        programs: Servers = {
            "ours": EchoWeb(deployment, "ours", BRIEF),
            **{mode: EchoWeb(deployment, mode, {**BRIEF, **env}) for mode, env in MODES.items()},
            "node": EchoNode(deployment.root, BRIEF["connect_timeout"]),
            "stock": StockServer(deployment.root, deployment.redis.url),
        }
        for program in programs.values():
            started.enter_context(program.start(wait=False))
        for program in programs.values():
            program.wait_ready()
        peers = [Peer(name, program.url, sends_connected=name != "stock") for name, program in programs.items()]
        with ThreadPoolExecutor(len(peers)) as pool:
            yield dict(zip(programs, pool.map(examine, peers), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_every_way_to_serve_passes(case: str, verdicts: dict[str, Verdicts]) -> None:
    assert {way: verdicts[way][case] for way in ("ours", *MODES)} == dict.fromkeys(("ours", *MODES), "")


@pytest.mark.parametrize("case", CASES)
def test_our_server_passes_every_case_that_node_passes(case: str, verdicts: dict[str, Verdicts]) -> None:
    assert verdicts["node"][case] or not [way for way in ("ours", *MODES) if verdicts[way][case]]


def test_the_table_has_these_results(verdicts: dict[str, Verdicts]) -> None:
    """When this fails, the expected lines are those to put into docs/conformance.md."""
    text = (ROOT / "docs/conformance.md").read_text(encoding="utf-8").partition("## Whose test is which case")[0]
    assert [line for line in text.splitlines() if line.startswith("| `")] == rows(verdicts)
    assert summary(verdicts) in text
