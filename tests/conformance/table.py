"""The rows of the tables in docs/conformance.md: a case, its text, and the result of each server."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.conformance.engine_cases import ENGINE_CASES
from tests.conformance.line import Peer
from tests.conformance.socket_cases import SOCKET_CASES

CASES: dict[str, Callable[[Peer], None]] = {case.__name__: case for case in (*ENGINE_CASES, *SOCKET_CASES)}
#: The servers in the order of the columns.
COLUMNS = ("ours", "node", "stock")
#: Cases whose outcome on the stock server is a matter of luck: it handles each event and poll in a thread of its own.
VARYING = (
    "polling_cancelled",
    "polling_several_packets",
    "polling_many_packets",
    "event_before_connect",
    "event_after_disconnect",
    "room",
    "upgrade_in_a_burst",
    "upgrade_while_sending",
)

#: What was wrong in each case, nothing where it held.
Verdicts = dict[str, str]


def rows(verdicts: Mapping[str, Verdicts]) -> list[str]:
    """Return every row of the document's tables."""
    words = {name: " | ".join(_word(name, verdicts, peer) for peer in COLUMNS) for name in CASES}
    return [f"| `{name}` | {case.__doc__} | {words[name]} |" for name, case in CASES.items()]


def summary(verdicts: Mapping[str, Verdicts]) -> str:
    """Return how many cases each server passes; the stock one without those that vary."""
    passed = {peer: sum(_word(name, verdicts, peer) == "yes" for name in CASES) for peer in COLUMNS}
    return f"Of {len(CASES)} cases ours passes {passed['ours']}, Node's {passed['node']} and stock {passed['stock']}"


def _word(case: str, verdicts: Mapping[str, Verdicts], peer: str) -> str:
    if peer == "stock" and case in VARYING:
        return "varies"
    return "no" if verdicts[peer][case] else "yes"
