"""What proves who one is, and everything that only looks as if it did."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from telefonist.core.access_tokens import AUDIENCE, ISSUER, LEEWAY, LIFE, PURPOSE
from tests.doors.conftest import OpenWeb
from tests.doors.people import Person, bearer, new_key, newcomer, status

MASTER = "s" * 32
"""The secret that the service of these tests is started with."""


def signing_key(purpose: bytes = PURPOSE, master: str = MASTER) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master.encode())


def claims(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return decoded


def forged(person: Person, key: bytes | None = None, **changes: Any) -> str:
    """Sign a token of our own making; a claim that is None is left out."""
    altered = claims(person.access_token) | changes
    return jwt.encode(
        {name: value for name, value in altered.items() if value is not None}, key or signing_key(), "HS256"
    )


def signed(person: Person, **changes: Any) -> str:
    """Sign what PyJWT itself would not write, such as an issuer that is no text."""
    altered = claims(person.access_token) | changes
    payload = {name: value for name, value in altered.items() if value is not None}
    text = json.dumps(payload, default=datetime.timestamp)
    return jwt.api_jws.PyJWS().encode(text.encode(), signing_key(), "HS256")


def unsigned(payload: dict[str, Any], algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "JWT"}, payload)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


async def test_a_token_of_ours_is_taken_and_says_no_more_than_it_must(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        assert jwt.get_unverified_header(ann.access_token) == {"alg": "HS256", "typ": "JWT"}
        said = claims(ann.access_token)
        assert set(said) == {"iss", "aud", "iat", "exp", "sub", "sid"}
        assert said["exp"] - said["iat"] == LIFE.total_seconds()
        assert await status(client, forged(ann)) == 200


async def test_a_token_without_a_signature_is_refused(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        signature = ann.access_token.rpartition(".")[2]
        for algorithm in ("none", "None", "NONE", "nOnE"):
            head = unsigned(claims(ann.access_token), algorithm)
            assert [await status(client, f"{head}.{end}") for end in ("", signature)] == [401, 401]


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_the_algorithm_is_ours_to_say(open_web: OpenWeb) -> None:
    async with open_web() as client:
        said = claims((await newcomer(client)).access_token)
        for algorithm, expected in (("HS256", 200), ("HS384", 401), ("HS512", 401)):
            assert await status(client, jwt.encode(said, signing_key(), algorithm)) == expected


async def test_a_token_signed_with_any_other_key_is_refused(open_web: OpenWeb) -> None:
    keys = {
        "the secret itself": MASTER.encode(),
        "another purpose": signing_key(b"telefonist stored webhook secrets"),
        "another secret": signing_key(master="t" * 32),
        "nothing": b"\0" * 32,
    }
    async with open_web() as client:
        ann = await newcomer(client)
        assert [name for name, key in keys.items() if await status(client, forged(ann, key)) != 401] == []


async def test_every_claim_is_required_and_checked(open_web: OpenWeb) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    changes: list[dict[str, Any]] = [
        *({name: None} for name in ("iss", "aud", "exp", "iat", "sub", "sid")),
        *({"iss": wrong} for wrong in ("somebody", 7, ["telefonist-api"])),
        *({"aud": wrong} for wrong in ("another-api", ["another-api"], 7)),
        *({name: wrong} for name in ("sub", "sid") for wrong in ("1", 7, str(uuid4()))),
        *({"exp": wrong} for wrong in ("soon", 1e300)),
        *({name: later} for name in ("iat", "nbf")),
    ]
    async with open_web() as client:
        ann = await newcomer(client)
        assert [change for change in changes if await status(client, signed(ann, **change)) != 401] == []


async def test_an_expired_token_is_refused_and_says_so(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        now = datetime.now(UTC)
        past = forged(ann, iat=now - LIFE, exp=now - LEEWAY - timedelta(seconds=1))
        refused = await client.get("/me", headers=bearer(past))
        assert (refused.status_code, refused.json()["code"]) == (401, "credentials_expired")
        assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_token_for_somebody_elses_session_is_refused(open_web: OpenWeb) -> None:
    async with open_web() as client:
        ann, bob = await newcomer(client), await newcomer(client, "bob@example.com")
        assert await status(client, forged(ann, sid=claims(bob.access_token)["sid"])) == 401


async def test_what_is_no_credential_is_refused_and_never_taken_for_an_anonymous_caller(open_web: OpenWeb) -> None:
    asked = {"message": "Hello", "callback_url": "http://127.0.0.1:9/callback"}
    async with open_web() as client:
        key = (await new_key(client, await newcomer(client)))["key"]
        assert (await client.post("/webhook", json=asked)).status_code == 202
        for authorization in (
            "",
            "Bearer",
            "Basic dXNlcjpwYXNz",
            f"Token {key}",
            key,
            f"Bearer: {key}",
            "Bearer tf-",
            f"Bearer tf-{key}",
            f"Bearer {key}x",
            f"Bearer x{key}",
            f"Bearer {key.upper()}",
            f"Bearer {key},{key}",
            "Bearer a.b.c",
            "Bearer ...",
            "Bearer ey\xff",
        ):
            headers = {b"authorization": authorization.encode("latin-1")}
            refused = await client.post("/webhook", json=asked, headers=headers)
            assert refused.status_code == 401, authorization
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert key not in refused.text


async def test_a_key_is_taken_in_the_authorization_header_alone(open_web: OpenWeb) -> None:
    async with open_web() as client:
        key = (await new_key(client, await newcomer(client)))["key"]
        for scheme in ("Bearer", "bearer", "BEARER"):
            assert (await client.get("/me", headers={"authorization": f"{scheme} {key}"})).status_code == 200
        twice = [("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")]
        assert (await client.get("/me", headers=twice)).status_code == 401
        assert (await client.get("/me", params={"api_key": key, "access_token": key})).status_code == 401
        assert (await client.get("/me", headers={"x-api-key": key}, cookies=None)).status_code == 401


async def test_no_credential_reaches_the_log(open_web: OpenWeb, log_lines: Any) -> None:
    async with open_web() as client:
        ann = await newcomer(client)
        key = (await new_key(client, ann))["key"]
        await status(client, key)
        await status(client, key + "x")
        written = json.dumps(log_lines())
        assert "logged_in" in written
        for secret in (key, ann.access_token, ann.refresh_token, "correct horse"):
            assert secret not in written


def test_the_names_in_a_token_are_those_that_others_may_rely_on() -> None:
    assert ("telefonist", "telefonist-api", timedelta(minutes=15)) == (ISSUER, AUDIENCE, LIFE)
