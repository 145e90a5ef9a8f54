"""Whether a message that came by Redis or by the broker is from one of us. Beside `core/ledger/publisher` and `core/ledger/outbox`.

Whoever may publish on a channel, or put a message into the queue, can write anything. Where that is not to be believed,
our processes put in front of a message what only the holder of the deployment's key can have made of it (HMAC-SHA-256
over the channel and the message), and those who read take nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import cached_property

import orjson

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.security.signing_keys import SigningKeys

#: How a vouched message begins; a JSON text cannot.
MARK = b"~"
_LENGTH = len(MARK) + 64


class Voucher:
    """Makes and checks marks for one process. Without `is_strict` it makes none and asks for none."""

    def __init__(self, settings: Settings, *, is_strict: bool) -> None:
        """Raises SettingsError when the key that is needed is missing."""
        self._keys = SigningKeys(settings)
        self.is_strict = is_strict
        if is_strict:
            _ = self._secrets

    def wrap(self, place: str, message: bytes) -> bytes:
        """Return the message as it is to be sent to a place, such as a channel."""
        return MARK + self.mark(place, message).encode() + message if self.is_strict else message

    def unwrap(self, place: str, message: bytes) -> bytes | None:
        """Return the message that came to a place, or None when nobody of ours can have sent it there."""
        if not message.startswith(MARK):
            return None if self.is_strict else message
        found, bare = message[len(MARK) : _LENGTH].decode("latin-1"), message[_LENGTH:]
        return bare if not self.is_strict or self.is_ours(place, bare, found) else None

    def mark(self, place: str, message: bytes) -> str:
        """Return the mark for a message: 64 hexadecimal digits."""
        return _make(self._secrets[0], place, message)

    def is_ours(self, place: str, message: bytes, mark: str) -> bool:
        """Tell whether a mark was made for this message in this place, by the present key or by the one before."""
        if not mark.isascii():
            return False
        return any(hmac.compare_digest(_make(secret, place, message), mark) for secret in self._secrets)

    @cached_property
    def _secrets(self) -> list[bytes]:
        keys = self._keys.by_id.values()
        return [hmac.digest(key.encode(), b"swallowtail messages", hashlib.sha256) for key in keys]


def _make(secret: bytes, place: str, message: bytes) -> str:
    return hmac.new(secret, place.encode() + b"\0" + message, hashlib.sha256).hexdigest()


def wakeup(task_id: str, attempt: int, name: str, limits: Sequence[float | None]) -> bytes:
    """Return what is vouched for in the message that wakes a worker: all of it that a worker acts on.

    `name` is the message's own id, by which it can be revoked; `limits` are the hard and the soft one, in seconds.
    """
    return orjson.dumps([task_id, attempt, name, *limits])
