"""The keys that payloads are sealed with in the database: AES-256-GCM, one key for writing, any number for reading.

Beside the road; `core/tables/column_encryption` decides what is sealed. What is sealed is bound to its place (table, row, column): moved
to another row, it cannot be opened.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from swallowtail.app.core.errors import Unavailable

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NONCE_BYTES = 12


class KeyMissing(Unavailable):
    """What is stored was sealed with a key that is not in SWALLOWTAIL_ENCRYPTION_KEYS."""


class Tampered(Unavailable):
    """What is stored cannot be opened: it was changed, or moved from another place."""


class Keyring:
    """Keys by id. The first seals; none: nothing is sealed."""

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in (keys or {}).items()}
        #: Id of the key that seals, or None.
        self.current: str | None = next(iter(self._ciphers), None)

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read `id:base64, id:base64, …`.

        Raises:
            ValueError: says which part cannot be used, never what the key is.
        """
        keys: dict[str, bytes] = {}
        for place, part in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
            key_id, colon, encoded = part.partition(":")
            if not colon or not _KEY_ID.fullmatch(key_id):
                raise ValueError(f"key {place} must be id:base64, its id 1 to 32 letters, digits, '-' or '_'")
            if key_id in keys:
                raise ValueError(f"the id {key_id!r} is there twice")
            try:
                key = base64.b64decode(encoded.replace("-", "+").replace("_", "/"), validate=True)
            except binascii.Error:
                key = b""
            if len(key) != 32:
                raise ValueError(f"key {key_id!r} must be 32 bytes in base64")
            keys[key_id] = key
        return cls(keys)

    @property
    def ids(self) -> list[str]:
        """The ids of all keys, the current one first."""
        return list(self._ciphers)

    def seal(self, place: str, content: bytes) -> bytes:
        """Return `content` sealed with the current key: a nonce, then the ciphertext."""
        assert self.current is not None
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[self.current].encrypt(nonce, content, place.encode())

    def open(self, place: str, key_id: str, sealed: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            KeyMissing: there is no such key here; the message names it.
            Tampered: this is not what the key sealed at this place.
        """
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyMissing(f"sealed with the key {key_id!r}, which is not in SWALLOWTAIL_ENCRYPTION_KEYS")
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise Tampered(
                f"{place} cannot be opened with the key {key_id!r}: changed, or moved from elsewhere"
            ) from None
