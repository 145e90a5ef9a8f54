"""Signs JSON Web Tokens for tests, so that the library under test does not make its own input."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def sign_token(claims: dict[str, Any], key: Any, algorithm: str = "HS256", *, headers: dict[str, Any]) -> str:
    """Return a token. `key` is text for HMAC, else a private key; moments among the claims become seconds."""
    numbers = {k: int(v.timestamp()) if isinstance(v, datetime) else v for k, v in claims.items()}
    content = f"{_encode({'alg': algorithm, 'typ': 'JWT', **headers})}.{_encode(numbers)}"
    return f"{content}.{encode_bytes(_sign(content.encode(), key, algorithm))}"


def public_key(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """Return the public half of a key as a JSON Web Key."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "n": _encode_number(numbers.n), "e": _encode_number(numbers.e)}
    size, point = (key.key_size + 7) // 8, key.public_key().public_numbers()
    coordinates = {"x": _encode_number(point.x, size), "y": _encode_number(point.y, size)}
    return {"kty": "EC", "crv": f"P-{key.key_size}", **coordinates}


def read_part(token: str, number: int) -> dict[str, Any]:
    """Return the header (0) or the claims (1) of a token, unverified."""
    part = token.split(".")[number]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


def encode_bytes(content: bytes) -> str:
    """Return bytes in base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _encode(part: dict[str, Any]) -> str:
    return encode_bytes(json.dumps(part).encode())


def _encode_number(number: int, size: int | None = None) -> str:
    return encode_bytes(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def _sign(content: bytes, key: Any, algorithm: str) -> bytes:
    if algorithm == "none":
        return b""
    kind, digest = algorithm[:2], _HASHES[algorithm[2:]]
    if kind == "HS":
        return hmac.digest(key.encode(), content, digest.name)
    if kind == "ES":
        size = (key.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(content, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    signature: bytes = key.sign(content, _PSS if kind == "PS" else padding.PKCS1v15(), digest)
    return signature
