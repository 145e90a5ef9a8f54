"""The load client: thousands of raw websocket connections in one epoll loop, cheap enough not to be what is measured.

Run as a process of its own (`python -m bench.load`), driven by JSON lines on stdin, answering by JSON lines on stdout:

- `{"do": "connect", "port", "clients", "rooms", "window"}` opens clients, client i in room `room-<i mod rooms>`, at
  most `window` handshakes at a time; answers `{"seconds", "connected"}` once every one is subscribed.
- `{"do": "collect", "per_client", "patience"}` reads until every client has got `per_client` events more, or nothing
  has come for `patience` seconds; answers counts and its own CPU seconds.
- `{"do": "time", "commits"}` answers the latencies, in milliseconds, of what was read last: from when each event was
  committed, or from when it was sent where `commits` does not tell.
- `{"do": "drop"}` closes every connection but remembers where each client stands; `{"do": "resume", …}` reconnects all.
- `{"do": "quit"}`.

What comes is kept with its time and read when all has come (`bench/arrivals.py`): a client that reads more slowly than
the server writes would measure itself.
"""

from __future__ import annotations

import gc
import json
import resource
import select
import sys
import time
from typing import Any

from bench.arrivals import SIGN, Commits, Reading, percentile, read
from bench.client import PING, PONG, Client, Domain, frame

#: Sockets that are served in one turn.
AT_ONCE = 1024
#: Seconds without any new connection after which the rest is given up.
PATIENCE = 20.0


class Load:
    """All clients of one run."""

    def __init__(self) -> None:
        self.poller = select.epoll()
        self.clients: list[Client] = []
        self.by_fd: dict[int, Client] = {}
        self.port = 0
        self.ready = 0
        self.opening = 0
        self.signs = 0
        #: By client, as they are in `clients`.
        self.readings: list[Reading] = []
        self.buffer = bytearray(1 << 18)
        self.view = memoryview(self.buffer)

    def connect(self, clients: int, rooms: int | list[str], window: int) -> dict[str, Any]:
        """Open clients until all are subscribed; `rooms` are how many there are, or their names."""
        names = [f"room-{place}" for place in range(rooms)] if isinstance(rooms, int) else rooms
        self.clients = [Client(names[place % len(names)]) for place in range(clients)]
        used = _cpu()
        answer = self._open_all(window)
        self._settle()
        return {**answer, "client_cpu_s": _cpu() - used}

    def _open_all(self, window: int) -> dict[str, Any]:
        began = last_news = time.monotonic()
        self.ready = self.opening = last_ready = 0
        waiting = list(reversed(self.clients))
        while self.ready < len(self.clients) and time.monotonic() - last_news < PATIENCE:
            while waiting and self.opening - self.ready < window:
                self._open(waiting.pop())
                self.opening += 1
            self._turn(1.0)
            if self.ready != last_ready:
                last_ready, last_news = self.ready, time.monotonic()
        return {"seconds": time.monotonic() - began, "connected": self.ready}

    def _open(self, client: Client) -> None:
        client.open(self.port)
        self.by_fd[client.sock.fileno()] = client
        self.poller.register(client.sock.fileno(), select.EPOLLOUT)

    def _turn(self, timeout: float) -> None:
        """Take what has come. The one loop that is measured with the server: it does as little as it can."""
        by_fd, buffer, view, clock, live = self.by_fd, self.buffer, self.view, time.time_ns, Domain.LIVE
        for fd, _ in self.poller.poll(timeout, AT_ONCE):
            client = by_fd[fd]
            if client.domain is Domain.CONNECTING:
                self._greet(client)
                continue
            try:
                size = client.sock.recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError:
                size = 0
            if not size:
                self._lose(client)
                continue
            piece = bytes(view[:size])
            arrivals = client.arrivals
            arrivals.times.append(clock())
            arrivals.pieces.append(piece)
            self.signs += piece.count(SIGN)
            if PING in piece:
                client.sock.send(frame(PONG))
            if client.domain is not live and client.advance(piece):
                self.ready += 1

    def _greet(self, client: Client) -> None:
        if client.greet(self.port):
            self.poller.modify(client.sock.fileno(), select.EPOLLIN)
        else:
            self._lose(client)
            self._open(client)

    def _lose(self, client: Client) -> None:
        fd = client.sock.fileno()
        self.poller.unregister(fd)
        del self.by_fd[fd]
        client.sock.close()
        client.domain = Domain.LOST

    def _settle(self) -> None:
        """Note where every client stands, and forget what it was sent so far."""
        for client in self.clients:
            self._read(client)
        self.signs = 0

    def _read(self, client: Client) -> Reading:
        reading = read(client.arrivals, client.last)
        client.arrivals.clear()
        client.last, client.offset = reading.last, reading.offset or client.offset
        return reading

    def collect(self, per_client: int, patience: float) -> dict[str, Any]:
        """Read until every client has `per_client` events more, or nothing comes any more."""
        self._settle()
        return self._take(per_client, patience, time.monotonic(), _cpu())

    def _take(self, per_client: int, patience: float, began: float, used: float) -> dict[str, Any]:
        goal, last_news = per_client * len(self.clients), time.monotonic()
        gc.disable()
        while (have := self.signs) < 2 * goal and time.monotonic() - last_news < patience:
            self._turn(0.5)
            if self.signs != have:
                last_news = time.monotonic()
        seconds, used = time.monotonic() - began, _cpu() - used
        gc.enable()
        return {**self._sum_up(goal), "seconds": seconds, "client_cpu_s": used}

    def _sum_up(self, goal: int) -> dict[str, Any]:
        self.readings = [self._read(client) for client in self.clients]
        delivered = sum(len(reading.numbers) for reading in self.readings)
        self.signs = 0
        return {
            "expected": goal,
            "delivered": delivered,
            "lost": goal - delivered,
            "repeated": sum(reading.repeats for reading in self.readings),
            "gaps": sum(reading.gaps for reading in self.readings),
            "disconnected": sum(client.domain is Domain.LOST for client in self.clients),
        }

    def time(self, commits: Commits) -> dict[str, Any]:
        """Tell how long what was read last took, given when events were committed, by room and number."""
        rooms = [commits.get(client.room, {}) for client in self.clients]
        pairs = list(zip(self.readings, rooms, strict=True))
        latencies = sorted(found for reading, room in pairs for found in reading.latencies(room))
        pauses = sorted(found for reading, room in pairs for found in reading.pauses(room))
        return {
            "p50_ms": percentile(latencies, 0.5),
            "p99_ms": percentile(latencies, 0.99),
            "max_ms": percentile(latencies, 1.0),
            "commit_ms": percentile(pauses, 0.5) if pauses else 0.0,
        }

    def drop(self) -> dict[str, Any]:
        """Close every connection, keeping each client's place."""
        self._settle()
        for client in self.clients:
            if client.domain is not Domain.LOST:
                self._lose(client)
        return {"dropped": len(self.clients)}

    def resume(self, per_client: int, window: int, patience: float) -> dict[str, Any]:
        """Reconnect every client where it stood and read `per_client` missed events each."""
        began, used = time.monotonic(), _cpu()
        for client in self.clients:
            client.resuming = True
        opened = self._open_all(window)
        return {**self._take(per_client, patience, began, used), "connected": opened["connected"]}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Obey the lines on stdin until `quit` or the end."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    load = Load()
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        if do == "quit":
            break
        load.port = order.pop("port", load.port)
        answer = getattr(load, do)(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
