"""Settings for tests of faults: short intervals and pauses, and the agents of the tests."""

from __future__ import annotations

#: A worker that stalls for this lease on a busy machine is not lost yet; where one must lapse, a test waits it out.
BRISK: dict[str, object] = {
    "agents": "tests.harness.tasks.agents",
    "lease_seconds": 12,
    "heartbeat_seconds": 0.5,
    "sweep_interval": 0.3,
    "resend_after": 2,
    "cancel_grace": 1,
    "backoff_base": 0.1,
    "backoff_max": 0.5,
}
