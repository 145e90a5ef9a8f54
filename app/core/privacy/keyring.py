"""Encrypts payloads with AES-256-GCM: one key encrypts, any number decrypt.

Each ciphertext is bound to its place (table, row, column), so that it cannot be moved to another row.
`core/tables/column_encryption` decides which columns are encrypted.
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
    """The value was encrypted with a key that is not in SWALLOWTAIL_ENCRYPTION_KEYS."""


class Tampered(Unavailable):
    """The value cannot be decrypted: it was changed, or moved from another place."""


class Keyring:
    """Keys by id. The first one encrypts; without keys nothing is encrypted."""

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in (keys or {}).items()}
        #: Id of the key that encrypts, or None.
        self.current: str | None = next(iter(self._ciphers), None)

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read `id:base64, id:base64, …`. Raises ValueError, whose message never contains a key."""
        keys: dict[str, bytes] = {}
        for number, part in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
            key_id, colon, encoded = part.partition(":")
            if not colon or not _KEY_ID.fullmatch(key_id):
                raise ValueError(f"key {number} must be id:base64, its id 1 to 32 letters, digits, '-' or '_'")
            if key_id in keys:
                raise ValueError(f"the id {key_id!r} is repeated")
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

    def encrypt(self, place: str, content: bytes) -> bytes:
        """Return `content` encrypted with the current key: a nonce, then the ciphertext."""
        assert self.current is not None
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[self.current].encrypt(nonce, content, place.encode())

    def decrypt(self, place: str, key_id: str, ciphertext: bytes) -> bytes:
        """Return the content of a ciphertext. Raises KeyMissing, and Tampered if it was not encrypted for `place`."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyMissing(f"encrypted with the key {key_id!r}, which is not in SWALLOWTAIL_ENCRYPTION_KEYS")
        try:
            return cipher.decrypt(ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise Tampered(
                f"{place} cannot be decrypted with the key {key_id!r}: changed, or moved from elsewhere"
            ) from None
