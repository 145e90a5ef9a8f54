"""Every case of the documents on our web process and on stock Flask-SocketIO, and the table of what was found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.stock_peer import StockServer
from tests.conformance.engine_cases import ENGINE_CASES
from tests.conformance.line import Peer
from tests.conformance.socket_cases import SOCKET_CASES
from tests.harness.house import House
from tests.harness.program import ROOT
from tests.harness.servers import RedisBinary

pytestmark = pytest.mark.chaos

CASES: dict[str, Callable[[Peer], None]] = {case.__name__: case for case in (*ENGINE_CASES, *SOCKET_CASES)}
#: Cases that wait for a heartbeat take a minute each, so all run at once.
AT_ONCE = 12
#: Modes beside the usual one, which have no fast path.
MODES = ("gevent", "threading")
#: So that nobody waits 45 seconds for the end of a connection without a namespace.
BRIEF = {"connect_timeout": 5}

#: Where we differ from the document on purpose; the reasons are in docs/conformance.md.
ON_PURPOSE = {
    "unknown_type": "answered with an error; the connection stays",
    "wrong_payload": "answered with an error; the connection stays",
    "wrong_ack_number": "answered with an error; the connection stays",
    "wrong_json": "answered with an error; the connection stays",
    "reserved_event": "answered with an error; the connection stays",
    "binary_ack": "no event of the protocol has attachments; one that has is refused in its acknowledgement",
}
#: Where we differ because the library under us does, which is the same in stock Flask-SocketIO.
INHERITED = (
    "polling_wrong_transport",
    "polling_wrong_method",
    "polling_wrong_packet",
    "polling_twice_at_once",
    "polling_cancelled",
    "polling_ping_timeout",
    "polling_close",
)

#: Cases whose outcome on the stock server is a matter of luck: it handles each event in a thread of its own.
VARYING = ("polling_several_packets",)

Verdicts = dict[str, str]


def examine(peer: Peer) -> Verdicts:
    """Run every case; what was wrong in each, nothing where it held."""

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
    """What each server was found to do."""
    with House(redis_binary=redis_binary, tcp=True) as house:
        web = house.start_web(env=BRIEF, wait=False)
        others = {mode: house.start_web(env={**BRIEF, "async_mode": mode}, wait=False) for mode in MODES}
        with StockServer(house.root, house.redis.url).start() as stock:
            for program in (web, *others.values()):
                program.wait_ready()
            peers = [Peer("ours", web.url), *(Peer(mode, other.url) for mode, other in others.items())]
            peers.append(Peer("stock", stock.url, greets=False))
            with ThreadPoolExecutor(len(peers)) as pool:
                yield dict(zip([peer.name for peer in peers], pool.map(examine, peers), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, verdicts: dict[str, Verdicts]) -> None:
    found = verdicts["ours"][case]
    if case in ON_PURPOSE or case in INHERITED:
        assert found, "the documents say that this differs, and it does not"
    else:
        assert not found


@pytest.mark.parametrize("case", CASES)
def test_what_stock_passes_we_pass(case: str, verdicts: dict[str, Verdicts]) -> None:
    for mode in ("ours", *MODES):
        assert verdicts["stock"][case] or not verdicts[mode][case] or case in ON_PURPOSE, mode


def test_the_table_says_what_was_found(verdicts: dict[str, Verdicts]) -> None:
    text = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| (\w+ \| \w+) \|", text, re.MULTILINE))
    assert rows == {name: f"{word(name, verdicts, 'ours')} | {word(name, verdicts, 'stock')}" for name in CASES}


def word(case: str, verdicts: dict[str, Verdicts], peer: str) -> str:
    if peer == "stock" and case in VARYING:
        return "varies"
    return "no" if verdicts[peer][case] else "yes"
