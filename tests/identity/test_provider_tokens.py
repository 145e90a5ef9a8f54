"""Tokens of an identity provider: their users, rotated keys, an absent provider, and known attacks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.errors import SettingsError, Unauthenticated, Unavailable
from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.jwks import ProviderKeys
from swallowtail.app.core.identity.users import Identity
from swallowtail.app.core.security.actors import Actor
from tests.identity.bench import AUDIENCE, ISSUER, JWKS, PROVIDER, Bench, Provider
from tests.identity.conftest import START, NewBench

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def provider() -> Provider:
    return Provider()


def believing(new_bench: NewBench, provider: Provider, **values: Any) -> Bench:
    """Return a bench that accepts the provider's tokens; its user `ada` is `ada` at the provider."""
    bench = new_bench(**{**PROVIDER, **values})
    keys = ProviderKeys(bench.rt.settings, clock=lambda: provider.time, transport=provider.transport)
    bench.tokens = Tokens(bench.rt, provider=keys)
    users.create_user(bench.rt, "ada", identity=Identity(ISSUER, "ada"))
    return bench


@pytest.fixture
def bench(new_bench: NewBench, provider: Provider) -> Bench:
    return believing(new_bench, provider)


def refused(bench: Bench, token: str, why: str = "not a token that is accepted here") -> None:
    with pytest.raises(Unauthenticated, match=why):
        bench.tokens.read(token)


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "application/at+jwt"])
def test_a_providers_token_is_read_with_either_algorithm(bench: Bench, provider: Provider, typ: str) -> None:
    ada = bench.user("ada")
    expected = Actor("user", ada.id, "ada", user_id=ada.id, expires_at=START + timedelta(minutes=5))
    assert bench.tokens.read(provider.sign(typ=typ)) == expected
    assert bench.tokens.read(provider.sign(kid="ec1", key=provider.ec, algorithm="ES256", typ=typ)) == expected
    assert bench.tokens.read(provider.sign(aud=["other", AUDIENCE])) == expected
    assert provider.requests == 1


def test_roles_in_a_token_are_ignored(bench: Bench, provider: Provider) -> None:
    actor = bench.tokens.read(provider.sign(roles=["owner"], is_superuser=True, acts=["user.write"], scope="admin"))
    assert (actor.is_superuser, actor.acts, actor.instance_id) == (False, None, None)


def test_times_are_compared_with_the_clock_and_the_leeway(
    bench: Bench, provider: Provider, clock: time_machine.Traveller
) -> None:
    token = provider.sign(nbf=START + timedelta(seconds=60))
    refused(bench, token, "not valid yet")
    clock.move_to(START + timedelta(seconds=50))
    assert bench.tokens.read(token).name == "ada"
    clock.move_to(START + timedelta(seconds=309))
    assert bench.tokens.read(token).name == "ada"
    clock.move_to(START + timedelta(seconds=310))
    refused(bench, token, "has expired")


@pytest.mark.parametrize("seconds", [10**12, 10**13, 10**15, 10**17, 10**18, 10**20, 10**40, 1e300, -1, -(10**18)])
@pytest.mark.parametrize("claim", ["exp", "iat"])
def test_a_moment_beyond_every_calendar_is_refused_like_any_other_bad_claim(
    bench: Bench, provider: Provider, claim: str, seconds: float
) -> None:
    claims: dict[str, Any] = {claim: seconds}
    refused(bench, provider.sign(**claims), "not a token that is accepted here|expired|not valid yet")


def test_a_token_with_a_late_expiry_is_valid_for_the_longest_lifetime_only(
    bench: Bench, provider: Provider, clock: time_machine.Traveller
) -> None:
    token = provider.sign(exp=START + timedelta(days=3650))
    actor = bench.tokens.read(token)
    assert actor.expires_at == START + timedelta(hours=24)
    clock.move_to(START + timedelta(hours=24, seconds=9))
    assert bench.tokens.read(token) == actor
    assert bench.tokens.find_ended([actor]) == {}
    clock.move_to(START + timedelta(hours=24, seconds=10))
    refused(bench, token, "has expired")
    assert bench.tokens.find_ended([actor]) == {actor: "expired"}


def test_a_token_without_a_start_time_must_end_soon(bench: Bench, provider: Provider) -> None:
    refused(bench, provider.sign(iat=None, exp=START + timedelta(hours=25)), "SWALLOWTAIL_JWT_MAX_HOURS")
    actor = bench.tokens.read(provider.sign(iat=None, exp=START + timedelta(hours=23)))
    assert actor.expires_at == START + timedelta(hours=23)


def test_an_unknown_user_is_refused_unless_provisioning_is_on(
    bench: Bench, provider: Provider, new_bench: NewBench
) -> None:
    eve = provider.sign(sub="eve", preferred_username="Eve")
    refused(bench, eve)
    provisioning = new_bench(**PROVIDER, jwt_provision=True)
    keys = ProviderKeys(provisioning.rt.settings, clock=lambda: provider.time, transport=provider.transport)
    provisioning.tokens = Tokens(provisioning.rt, provider=keys)
    actor = provisioning.tokens.read(eve)
    assert (actor.name, actor.is_superuser) == ("eve", False)
    assert bench.tokens.read(eve) == actor
    assert provisioning.tokens.read(provider.sign(sub="7", preferred_username={"a": 1})).name.startswith("user-")


def test_a_disabled_user_is_refused_and_their_connections_end(bench: Bench, provider: Provider) -> None:
    actor = bench.tokens.read(provider.sign())
    users.disable_user(bench.rt, "ada")
    refused(bench, provider.sign())
    assert bench.tokens.find_ended([actor]) == {actor: "disabled"}


def test_rotated_keys_are_read_without_a_restart(bench: Bench, provider: Provider) -> None:
    bench.tokens.read(provider.sign())
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    provider.keys.append(provider.public("rsa2", fresh))
    provider.time += 31
    assert bench.tokens.read(provider.sign(kid="rsa2", key=fresh)).name == "ada"
    assert bench.tokens.read(provider.sign()).name == "ada"
    assert provider.requests == 2

    provider.keys = [key for key in provider.keys if key["kid"] != "rsa1"]
    assert bench.tokens.read(provider.sign()).name == "ada"
    provider.time += 301
    refused(bench, provider.sign())
    assert bench.tokens.read(provider.sign(kid="rsa2", key=fresh)).name == "ada"
    assert provider.requests == 3


def test_a_new_key_with_a_used_id_is_accepted_after_the_ttl(bench: Bench, provider: Provider) -> None:
    bench.tokens.read(provider.sign())
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    provider.keys = [provider.public("rsa1", fresh)]
    provider.time += 301
    refused(bench, provider.sign())
    assert bench.tokens.read(provider.sign(key=fresh)).name == "ada"


def test_any_number_of_unknown_keys_causes_one_request_per_interval(bench: Bench, provider: Provider) -> None:
    for number in range(50):
        refused(bench, provider.sign(kid=f"made-up-{number}"))
    assert provider.requests == 1
    provider.time += 31
    for number in range(50):
        refused(bench, provider.sign(kid=f"made-up-{number}"))
    assert provider.requests == 2


FAULTS = {
    "unreachable": httpx2.ConnectError("away"),
    "silent": httpx2.ReadTimeout("slow"),
    "broken": httpx2.Response(503),
    "moved": httpx2.Response(302, headers={"location": "https://elsewhere.example/keys"}),
    "page": httpx2.Response(200, text="<html>"),
    "list": httpx2.Response(200, json=[]),
    "empty": httpx2.Response(200, json={"keys": []}),
    "nonsense": httpx2.Response(200, json={"keys": [{"kty": "RSA", "kid": "rsa1", "n": 1}, 7, None]}),
    "endless": httpx2.Response(200, content=b" " * 300_000),
}


@pytest.mark.parametrize("fault", list(FAULTS.values()), ids=list(FAULTS))
def test_cached_keys_are_used_while_the_provider_is_down(
    bench: Bench, provider: Provider, fault: httpx2.Response | Exception
) -> None:
    bench.tokens.read(provider.sign())
    provider.answer = fault
    for _ in range(3):
        provider.time += 301
        assert bench.tokens.read(provider.sign()).name == "ada"
        assert bench.tokens.read(provider.sign()).name == "ada"
    assert provider.requests == 4
    provider.time += 86_400
    with pytest.raises(Unavailable):
        bench.tokens.read(provider.sign())
    provider.answer = None
    provider.time += 31
    assert bench.tokens.read(provider.sign()).name == "ada"


def test_a_provider_that_was_never_there_is_unavailable_not_a_refusal(bench: Bench, provider: Provider) -> None:
    provider.answer = httpx2.ConnectError("away")
    for _ in range(5):
        with pytest.raises(Unavailable):
            bench.tokens.read(provider.sign())
    assert provider.requests == 1


def _encode(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _sign_with_public_key(provider: Provider, kid: str) -> str:
    """Sign with HS256 and the published key as the secret: the attack of key confusion."""
    public = provider.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = provider.sign().split(".")[1]
    head = _encode({"alg": "HS256", "typ": "at+jwt", "kid": kid})
    signature = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def test_every_known_attack_on_jwts_is_refused(bench: Bench, provider: Provider) -> None:
    body = provider.sign().split(".")[1]
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    tricks = {
        "none": f"{_encode({'alg': 'none', 'kid': 'rsa1'})}.{body}.",
        "None": f"{_encode({'alg': 'None', 'kid': 'rsa1'})}.{body}.",
        "confusion": _sign_with_public_key(provider, "rsa1"),
        "confusion with our key's id": _sign_with_public_key(provider, bench.tokens._keys.present[0]),
        "another alg of the kid": provider.sign(kid="ec1"),
        "another alg of the kid, turned round": provider.sign(kid="rsa1", key=provider.ec, algorithm="ES256"),
        "RS512": provider.sign(algorithm="RS512"),
        "PS256": provider.sign(algorithm="PS256"),
        "another key": provider.sign(key=other),
        "no kid": provider.sign(kid=None),
        "wrong typ": provider.sign(typ="logout+jwt"),
        "our typ by theirs": provider.sign(typ="fe+jwt"),
        "no exp": provider.sign(exp=None),
        "no sub": provider.sign(sub=None),
        "no aud": provider.sign(aud=None),
        "no iss": provider.sign(iss=None),
        "wrong aud": provider.sign(aud="elsewhere"),
        "wrong iss": provider.sign(iss="https://elsewhere.example/"),
        "issuer without its slash": provider.sign(iss=ISSUER.rstrip("/")),
        "no signature": provider.sign().rpartition(".")[0] + ".",
    }
    for token in tricks.values():
        refused(bench, token)
    assert bench.tokens.read(provider.sign()).name == "ada"


def test_keys_that_must_not_be_used_are_not(bench: Bench, provider: Provider) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    other = ec.generate_private_key(ec.SECP384R1())
    shared = base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("=")
    provider.keys += [
        provider.public("enc", provider.rsa, use="enc"),
        provider.public("ops", provider.rsa, key_ops=["encrypt"]),
        provider.public("weak", weak),
        provider.public("p384", other),
        provider.public("ps", provider.rsa, alg="PS256"),
        {"kty": "oct", "k": shared, "kid": "oct", "alg": "HS256", "use": "sig"},
        {"kty": "oct", "k": shared, "kid": "odd", "alg": "RS256", "use": "sig"},
    ]
    refused(bench, provider.sign(kid="enc"))
    refused(bench, provider.sign(kid="ops"))
    refused(bench, provider.sign(kid="weak", key=weak))
    refused(bench, provider.sign(kid="p384", key=other, algorithm="ES384"))
    refused(bench, provider.sign(kid="ps"))
    refused(bench, provider.sign(kid="oct", key="s" * 32, algorithm="HS256"))
    assert bench.tokens.read(provider.sign()).name == "ada"


def test_without_a_provider_its_tokens_are_refused(new_bench: NewBench, provider: Provider) -> None:
    refused(new_bench(), provider.sign())


def test_the_settings_of_a_provider_belong_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, complaint in (
        (JWKS, "SWALLOWTAIL_JWKS_URL: needs SWALLOWTAIL_JWT_ISSUER and SWALLOWTAIL_JWT_AUDIENCE too"),
        ("http://id.example/keys", "SWALLOWTAIL_JWKS_URL: must start with https://"),
        ("file:///etc/passwd", "SWALLOWTAIL_JWKS_URL: must be an address such as https://"),
    ):
        monkeypatch.setenv("SWALLOWTAIL_JWKS_URL", url)
        with pytest.raises(SettingsError, match=complaint):
            load_settings()
    monkeypatch.setenv("SWALLOWTAIL_JWT_ISSUER", ISSUER)
    monkeypatch.setenv("SWALLOWTAIL_JWT_AUDIENCE", AUDIENCE)
    monkeypatch.setenv("SWALLOWTAIL_JWKS_URL", "http://127.0.0.1:9/keys")
    assert load_settings().jwks_url == "http://127.0.0.1:9/keys"
