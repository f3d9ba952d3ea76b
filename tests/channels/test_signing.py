import base64
import json
import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from telefonist.channels.signing import generate_secret, secret_key, sign, verify
from telefonist.errors import ConfigurationError, SignatureInvalid
from telefonist.types import new_id, utc_now

BODY = '{"generated_response": "Привет!", "final": true}'.encode()


def signed(*secrets: str | bytes, body: bytes = BODY) -> dict[str, str]:
    return sign(secrets, new_id(), int(time.time()), body)


def test_the_public_library_verifies_our_signature() -> None:
    secret = generate_secret()
    assert Webhook(secret).verify(BODY, signed(secret)) == json.loads(BODY)


def test_receivers_with_the_old_and_with_the_new_secret_verify_during_rotation() -> None:
    new, old = generate_secret(), generate_secret()
    headers = signed(new, old)
    for secret in (new, old):
        Webhook(secret).verify(BODY, headers)
        verify([secret], headers, BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(generate_secret()).verify(BODY, headers)


def test_we_verify_what_the_public_library_signed() -> None:
    secret, now = generate_secret(), utc_now()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, BODY.decode()),
    }
    verify([secret], headers, BODY)


def test_the_example_of_the_standard_verifies() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    verify(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], headers, b'{"test": 2432232314}', now=1614265330)


def test_the_key_itself_signs_like_its_secret() -> None:
    secret = generate_secret()
    assert sign([secret], UUID(int=1), 1, BODY) == sign([secret_key(secret)], UUID(int=1), 1, BODY)


def test_secrets_are_new_each_time_and_hold_32_bytes() -> None:
    assert generate_secret() != generate_secret()
    assert len(secret_key(generate_secret())) == 32


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        base64.b64encode(bytes(32)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_*** this is not base64 at all ***",
        "whsec_секрет-секрет-секрет-секрет-секрет",
    ],
)
def test_a_malformed_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        sign([secret], new_id(), 1, BODY)
    assert secret in ("", "whsec_") or secret not in str(refused.value)
    assert "telefonist webhook secret" in str(refused.value)


def test_a_secret_without_padding_is_taken() -> None:
    assert secret_key("whsec_" + base64.b64encode(bytes(32)).decode().rstrip("=")) == bytes(32)


def test_nothing_goes_out_unsigned() -> None:
    with pytest.raises(ConfigurationError):
        sign([], new_id(), 1, BODY)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(header: str) -> None:
    secret = generate_secret()
    headers = signed(secret)
    del headers[header]
    with pytest.raises(SignatureInvalid, match=f"no {header} header"):
        verify([secret], headers, BODY)


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "signature", "version", "secret"])
def test_any_change_breaks_the_signature(change: str) -> None:
    secret = generate_secret()
    headers = signed(secret)
    match change:
        case "id":
            headers["webhook-id"] = str(new_id())
        case "timestamp":
            headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
        case "signature":
            headers["webhook-signature"] = "v1," + base64.b64encode(bytes(32)).decode()
        case "version":
            headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v1a,")
        case "secret":
            secret = generate_secret()
    with pytest.raises(SignatureInvalid, match="matches none"):
        verify([secret], headers, BODY + b" " if change == "body" else BODY)


def test_a_signature_of_another_time_is_refused_in_both_directions() -> None:
    secret = generate_secret()
    headers = signed(secret)
    at = int(headers["webhook-timestamp"])
    for now in (at - 300, at, at + 300):
        verify([secret], headers, BODY, now=now)
    for now in (at - 301, at + 301):
        with pytest.raises(SignatureInvalid, match="more than 300 s away"):
            verify([secret], headers, BODY, now=now)


@pytest.mark.parametrize("timestamp", ["now", "-1", "1.5", "١٢٣", "9" * 30, "0x10"])
def test_a_timestamp_that_is_no_number_is_named(timestamp: str) -> None:
    secret = generate_secret()
    with pytest.raises(SignatureInvalid, match="webhook-timestamp"):
        verify([secret], signed(secret) | {"webhook-timestamp": timestamp}, BODY)


def test_headers_are_found_whatever_their_case() -> None:
    secret = generate_secret()
    verify([secret], {name.title(): value for name, value in signed(secret).items()}, BODY)


def test_the_reason_is_given_in_russian_too() -> None:
    with pytest.raises(SignatureInvalid) as invalid:
        verify([generate_secret()], signed(generate_secret()), BODY)
    assert "Подпись" in invalid.value.text("ru")


@given(st.text(), st.text())
def test_a_forged_header_is_refused_and_never_breaks_the_check(identifier: str, signature: str) -> None:
    headers = {"webhook-id": identifier, "webhook-timestamp": "100", "webhook-signature": signature}
    with pytest.raises(SignatureInvalid):
        verify([bytes(32)], headers, BODY, now=100)
