"""How deliveries prove where they come from."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from opora_intake.domain.hook_sources import HookRules
from opora_intake.hooks.signatures import UnprovenError, prove
from services.intake.tests.hook_payloads import SECRET, STANDARD_SECRET, digest

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BODY = b'{"x": 1}'
MAPPING = {"key": "/x", "title": "/x"}


def proven(
    kind: str, headers: Mapping[str, str], *, secrets: tuple[str, ...] = (SECRET,), body: bytes = BODY, **fields: Any
) -> bool:
    rules = HookRules.model_validate({"kind": kind, **fields, **({"mapping": MAPPING} if kind == "generic" else {})})
    try:
        prove(body, {name.lower(): value for name, value in headers.items()}, rules, secrets, NOW)
    except UnprovenError:
        return False
    return True


def test_the_signature_that_github_documents() -> None:
    """Their own example: secret, body and signature."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret = "It's a Secret to Everybody"
    headers = {"X-Hub-Signature-256": signature}
    assert proven("github", headers, secrets=(secret,), body=b"Hello, World!")
    assert not proven("github", headers, secrets=(secret,), body=b"Hello, World?")


# By `printf '{"x": 1}' | openssl dgst -sha256 -hmac "a secret of the tests"`.
BY_OPENSSL = "4ea21315aa52527418e67225bc8546d28ee26163548baeb681c3e75d7ae056ed"
# By `printf '1772452800:{"x": 1}' | openssl dgst …`.
TIMED_BY_OPENSSL = "1d6a8510f387adab11fb2b943b2ea74421f980283b34f5c5ca98732934829307"


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        ("github", {"X-Hub-Signature-256": f"sha256={BY_OPENSSL}"}),
        ("sentry", {"Sentry-Hook-Signature": BY_OPENSSL}),
        ("pagerduty", {"X-PagerDuty-Signature": f"v1={BY_OPENSSL}"}),
        ("grafana", {"X-Grafana-Alerting-Signature": BY_OPENSSL}),
    ],
)
def test_each_sender_signs_in_its_own_header(kind: str, headers: dict[str, str]) -> None:
    """Any of the secrets does; another body, another secret, a changed digest or none at all does not."""
    assert proven(kind, headers)
    assert proven(kind, headers, secrets=("another secret", SECRET))
    assert not proven(kind, headers, secrets=("another secret",))
    assert not proven(kind, headers, body=BODY + b" ")
    changed = {name: value[:-1] + ("0" if value[-1] != "0" else "1") for name, value in headers.items()}
    assert not proven(kind, changed)
    assert not proven(kind, {})
    assert not proven(kind, dict.fromkeys(headers, ""))
    assert not proven(kind, dict.fromkeys(headers, "é" * 64))


def test_pagerduty_signs_with_several_secrets_while_they_change() -> None:
    """One of the signatures that fits is enough; other versions are passed over."""
    assert proven("pagerduty", {"X-PagerDuty-Signature": f"v2=00,v1={'0' * 64}, v1={BY_OPENSSL}"})
    assert not proven("pagerduty", {"X-PagerDuty-Signature": f"v2={BY_OPENSSL}"})


def test_grafana_may_sign_a_time() -> None:
    """Then the time counts with the body, and what is older than five minutes is refused."""
    told: dict[str, Any] = {"hmac": {"timestamp_header": "X-Grafana-Time"}}
    headers = {"X-Grafana-Alerting-Signature": TIMED_BY_OPENSSL, "X-Grafana-Time": "1772452800"}
    assert datetime.fromtimestamp(1772452800, UTC) == NOW
    assert proven("grafana", headers, **told)
    assert not proven("grafana", headers | {"X-Grafana-Time": "1772452801"}, **told)
    assert not proven("grafana", {"X-Grafana-Alerting-Signature": BY_OPENSSL}, **told)
    for seconds, fits in ((-301, False), (-300, True), (300, True), (301, False)):
        time = str(int(NOW.timestamp()) + seconds)
        signed = {"X-Grafana-Alerting-Signature": digest(f"{time}:".encode() + BODY), "X-Grafana-Time": time}
        assert proven("grafana", signed, **told) is fits
    for nonsense in ("", "now", "-1", "9" * 13, "१७७२४५२८००"):
        assert not proven("grafana", headers | {"X-Grafana-Time": nonsense}, **told)


def test_standard_webhooks_as_their_library_signs() -> None:
    """Version, id, time and body are signed together; an old or a future one is refused."""

    def signed(at: datetime) -> dict[str, str]:
        signature = Webhook(STANDARD_SECRET).sign("msg_1", at, BODY.decode())
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": f"v1a,AAAA {signature}",
        }

    told: dict[str, Any] = {"secrets": (STANDARD_SECRET,), "proof": "standard_webhooks"}
    assert proven("generic", signed(NOW), **told)
    assert not proven("generic", signed(NOW) | {"webhook-id": "msg_2"}, **told)
    assert not proven("generic", signed(NOW) | {"webhook-id": ""}, **told)
    assert not proven("generic", signed(NOW - timedelta(minutes=6)), **told)
    assert not proven("generic", signed(NOW + timedelta(minutes=6)), **told)
    assert not proven("generic", signed(NOW), body=BODY + b" ", **told)


def test_any_header_may_hold_the_hmac() -> None:
    """With its prefix and in its encoding."""
    hmac = {"header": "X-Lock", "prefix": "sha256=", "encoding": "base64"}
    encoded = base64.b64encode(bytes.fromhex(BY_OPENSSL)).decode()
    told: dict[str, Any] = {"proof": "hmac_header", "hmac": hmac}
    assert proven("generic", {"X-Lock": f"sha256={encoded}"}, **told)
    assert not proven("generic", {"X-Lock": encoded}, **told)
    assert not proven("generic", {"X-Lock": "sha256=not base64"}, **told)


def test_tokens_and_passwords() -> None:
    """RFC 6750 and RFC 7617: the whole token, the whole pair."""
    assert proven("alertmanager", {"Authorization": f"Bearer {SECRET}"})
    assert proven("alertmanager", {"Authorization": f"bearer {SECRET}"})
    for wrong in (f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}", "Bearer ", f"Basic {SECRET}", SECRET, ""):
        assert not proven("alertmanager", {"Authorization": wrong})
    told: dict[str, Any] = {"proof": "basic", "secrets": ("opora:a password",)}
    pair = base64.b64encode(b"opora:a password").decode()
    assert proven("alertmanager", {"Authorization": f"Basic {pair}"}, **told)
    for wrong in (f"Basic {pair[:-4]}", "Basic ???", f"Bearer {pair}"):
        assert not proven("alertmanager", {"Authorization": wrong}, **told)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "github", "proof": "bearer"}, "proves itself by one of: signature"),
        ({"kind": "alertmanager", "proof": "signature"}, "proves itself by one of: bearer, basic"),
        ({"kind": "generic"}, "a mapping is needed"),
        ({"kind": "github", "mapping": MAPPING}, "a mapping is needed for the kind generic"),
        ({"kind": "generic", "mapping": {"key": "x", "title": "/x"}}, "a JSON pointer is empty or begins with /"),
        ({"kind": "generic", "mapping": {"key": "/x", "title": "/~2"}}, "a JSON pointer is empty or begins with /"),
    ],
)
def test_rules_that_cannot_work_are_refused(fields: dict[str, Any], told: str) -> None:
    """With what would work."""
    with pytest.raises(ValueError, match=told):
        HookRules.model_validate(fields)
