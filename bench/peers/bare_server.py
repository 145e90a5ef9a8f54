"""Lower bound of the benchmark: copies the bytes of each event from Redis to every socket, and does nothing else.

It knows no protocol: it sends the load client the replies that it waits for, and frames each published message once
for all sockets. It has no log, no order and no check for gaps, and a client that does not take an event at once never
gets it. Its cost is that of Python's `send` and of the kernel, with the same load client in the same run.
"""

from __future__ import annotations

import os
import re
import select
import socket
from typing import Any

import redis

#: Bytes that are read at once.
CHUNK = 4096
_ROOM = re.compile(rb'"instance_id":\s*"([^"]+)"')


def frame(text: bytes) -> bytes:
    """Return a text frame of a server."""
    if len(text) < 126:
        return bytes((0x81, len(text))) + text
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text


HELLO = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    + frame(b'0{"sid":"bare","upgrades":[],"pingTimeout":60000,"pingInterval":600000}')
)  # fmt: skip
JOINED, SUBSCRIBED = frame(b'40{"sid":"bare"}'), frame(b'430[{"ok":true}]')


class BareServer:
    """Sockets by room, in one loop with the Redis that is listened to."""

    def __init__(self, port: int, redis_url: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.listener.setblocking(False)
        listening = redis.Redis.from_url(redis_url).pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self.events: Any = listening
        self.events.psubscribe("bare:*")
        self.events_fd = self.events.connection._sock.fileno()
        self.poller = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.rooms: dict[bytes, list[socket.socket]] = {}

    def serve(self) -> None:
        """Serve until the process is ended."""
        self.poller.register(self.listener.fileno(), select.EPOLLIN)
        self.poller.register(self.events_fd, select.EPOLLIN)
        while True:
            for fd, _ in self.poller.poll():
                if fd == self.events_fd:
                    self.forward_all()
                elif fd == self.listener.fileno():
                    self.accept()
                else:
                    self.answer(fd)

    def forward_all(self) -> None:
        """Pass on what has been published."""
        while (message := self.events.get_message()) is not None:
            data = frame(message["data"])
            for sock in self.rooms.get(message["channel"][5:], ()):
                try:
                    sock.send(data)
                except OSError:
                    continue

    def accept(self) -> None:
        """Take one more client."""
        sock, _ = self.listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets[sock.fileno()] = sock
        self.poller.register(sock.fileno(), select.EPOLLIN)

    def answer(self, fd: int) -> None:
        """Say what the load client waits for."""
        sock = self.sockets[fd]
        try:
            piece = sock.recv(CHUNK)
        except OSError:
            piece = b""
        if not piece:
            self.poller.unregister(fd)
            sock.close()
            del self.sockets[fd]
        elif piece.startswith(b"GET "):
            sock.send(HELLO)
        elif (room := _ROOM.search(piece)) is not None:
            self.rooms.setdefault(room[1], []).append(sock)
            sock.send(SUBSCRIBED)
        else:
            sock.send(JOINED)


if __name__ == "__main__":
    BareServer(int(os.environ["BENCH_PORT"]), os.environ["BENCH_REDIS"]).serve()
