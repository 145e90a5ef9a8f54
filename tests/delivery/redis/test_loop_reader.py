"""The loop reader receives whole replies, however they are split, until the connection ends."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from swallowtail.app.delivery.redis.loop_reader import LoopReader

REPLIES = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$6\r\nx\r\n\r\ny\r\n"


class Loop:
    """A loop with one socket; tests run each of its turns."""

    def __init__(self) -> None:
        self.handle: Callable[[int], None] | None = None
        self.fd = -1

    def watch(self, fd: int, handle: Callable[[int], None]) -> None:
        self.fd, self.handle = fd, handle

    def forget(self, fd: int) -> None:
        assert fd == self.fd
        self.handle = None

    def turn(self) -> None:
        assert self.handle is not None
        select.select([self.fd], [], [], 5)
        self.handle(select.EPOLLIN)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, redis = socket.socketpair()
    with ours, redis:
        yield ours, redis


def test_replies_arrive_whole_however_they_are_cut(pair: tuple[socket.socket, socket.socket]) -> None:
    loop, received = Loop(), list[Any]()
    reader = LoopReader(loop, pair[0], received.append)
    reader.open()
    for place in range(len(REPLIES)):
        pair[1].send(REPLIES[place : place + 1])
        loop.turn()
    assert received == [[b"subscribe", b"a", 1], [b"message", b"a", b"x\r\n\r\ny"]]
    reader.close()


def test_many_replies_in_one_piece_arrive_in_their_order(pair: tuple[socket.socket, socket.socket]) -> None:
    loop, received = Loop(), list[Any]()
    reader = LoopReader(loop, pair[0], received.append)
    reader.open()
    pair[1].send(REPLIES * 50)
    loop.turn()
    assert [reply[0] for reply in received] == [b"subscribe", b"message"] * 50
    reader.close()


def test_the_end_of_the_connection_is_reported_and_its_descriptor_forgotten(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    loop, received = Loop(), list[Any]()
    reader = LoopReader(loop, pair[0], received.append)
    reader.open()
    pair[1].close()
    loop.turn()
    assert reader.ended.is_set()
    assert loop.handle is None
    assert received == []
    assert isinstance(reader.fault, ConnectionError)
    reader.close()


def test_an_invalid_reply_ends_the_reader(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = Loop()
    reader = LoopReader(loop, pair[0], lambda reply: None)
    reader.open()
    pair[1].send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    loop.turn()
    assert reader.ended.is_set()
    assert loop.handle is None
    reader.close()


def test_a_fault_of_the_receiver_ends_it_with_that_fault(pair: tuple[socket.socket, socket.socket]) -> None:
    def take(reply: Any) -> None:
        raise KeyError(reply[0])

    loop = Loop()
    reader = LoopReader(loop, pair[0], take)
    reader.open()
    pair[1].send(REPLIES)
    loop.turn()
    assert reader.ended.is_set()
    assert isinstance(reader.fault, KeyError)
    reader.close()


def test_the_connection_itself_stays_open_for_writing(pair: tuple[socket.socket, socket.socket]) -> None:
    reader = LoopReader(Loop(), pair[0], lambda reply: None)
    reader.open()
    reader.close()
    pair[0].sendall(b"PING")
    assert pair[1].recv(10) == b"PING"
