"""Tracks how much of a request a handler has read, for its read deadline."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class TrackedInput:
    """The byte source of a connection; `is_read` is true while a read is in progress."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.is_read = False

    def read(self, *size: int) -> bytes:
        """Read from the source."""
        return self._track(self._source.read, size)

    def readline(self, *size: int) -> bytes:
        """Read a line from the source."""
        return self._track(self._source.readline, size)

    def _track(self, read: Callable[..., bytes], size: tuple[int, ...]) -> bytes:
        self.is_read = True
        try:
            return read(*size)
        finally:
            self.is_read = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class CountedBody:
    """A body of known length that counts what has been read, for servers whose input does not."""

    chunked_input = False

    def __init__(self, source: Any, length: int) -> None:
        self._source = source
        self.content_length = length
        self.position = 0

    def read(self, *size: int) -> bytes:
        """Read from the source."""
        return self._count(self._source.read(*size))

    def readline(self, *size: int) -> bytes:
        """Read a line from the source."""
        return self._count(self._source.readline(*size))

    def _count(self, data: bytes) -> bytes:
        self.position += len(data)
        return data


class InputTracking:
    """Makes a server's handler a `RequestReader`. `body` counts what has been read, as eventlet's input does."""

    body: Any = None
    source: TrackedInput

    def is_waiting(self) -> bool:
        """See `RequestReader`."""
        return self.source.is_read and self.is_reading()

    def is_reading(self) -> bool:
        """See `RequestReader`."""
        body = self.body
        if body is None:
            return True
        if body.chunked_input:
            return bool(body.chunk_length != 0)
        return bool(body.position < (body.content_length or 0))

    def cut(self, how: int) -> None:
        """See `RequestReader`."""
        with suppress(OSError, AttributeError):
            self.find_socket().shutdown(how)

    def find_socket(self) -> Any:
        """Return the connection."""
        raise NotImplementedError
