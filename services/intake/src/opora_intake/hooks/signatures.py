"""How a delivery proves that it comes from its source. Comparisons take the same time whatever is compared."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from opora_intake.domain.hook_sources import HookKind, HookRules, Proof

TOLERANCE = timedelta(minutes=5)
"""How old a signed time may be, or how far in the future: a delivery that was overheard cannot be sent for longer."""

_GRAFANA = "x-grafana-alerting-signature"
_LONGEST_HEADER = 4000
_LONGEST_SECONDS = 12
_MOST_SIGNATURES = 20


class UnprovenError(Exception):
    """The delivery does not prove its source; the message says what to do, and nothing of what would be right."""


def prove(raw: bytes, headers: Mapping[str, str], rules: HookRules, secrets: Sequence[str], now: datetime) -> None:
    """Return when one of the secrets fits. Raises UnprovenError.

    `headers` by their names in lower case. `now` is real time, by which senders sign.
    """
    _PROOFS[rules.proven_by](raw, headers, rules, secrets, now)


def prove_bearer(
    _raw: bytes, headers: Mapping[str, str], _rules: HookRules, secrets: Sequence[str], _now: datetime
) -> None:
    """RFC 6750."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not _one_fits(token.strip().encode(), (each.encode() for each in secrets)):
        raise UnprovenError("Send `Authorization: Bearer` with the token of this source.")


def prove_basic(
    _raw: bytes, headers: Mapping[str, str], _rules: HookRules, secrets: Sequence[str], _now: datetime
) -> None:
    """RFC 7617."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        pair = b""
    if scheme.lower() != "basic" or not _one_fits(pair, (each.encode() for each in secrets)):
        raise UnprovenError("Send `Authorization: Basic` with the user and the password of this source.")


def prove_signature(
    raw: bytes, headers: Mapping[str, str], rules: HookRules, secrets: Sequence[str], now: datetime
) -> None:
    """The sender's own way."""
    match rules.kind:
        case HookKind.GITHUB:
            _signed(raw, [_after(headers, "x-hub-signature-256", "sha256=")], secrets, "X-Hub-Signature-256")
        case HookKind.SENTRY:
            _signed(raw, [headers.get("sentry-hook-signature", "")], secrets, "Sentry-Hook-Signature")
        case HookKind.PAGERDUTY:
            # Several while a secret is changed; other versions than v1 are passed over.
            listed = headers.get("x-pagerduty-signature", "")[:_LONGEST_HEADER].split(",")[:_MOST_SIGNATURES]
            given = [each.strip().removeprefix("v1=") for each in listed if each.strip().startswith("v1=")]
            _signed(raw, given, secrets, "X-PagerDuty-Signature")
        case _:
            prove_hmac(raw, headers, rules, secrets, now, usual_header=_GRAFANA)


def prove_hmac(
    raw: bytes,
    headers: Mapping[str, str],
    rules: HookRules,
    secrets: Sequence[str],
    now: datetime,
    *,
    usual_header: str = "x-signature",
) -> None:
    """HMAC-SHA256 of the body, or of `time:body` where a time is signed too."""
    told = rules.hmac
    header = (told.header or usual_header).lower()
    signed = raw
    if told.timestamp_header is not None:
        timestamp = headers.get(told.timestamp_header.lower(), "")
        _check_age(timestamp, now, told.timestamp_header)
        signed = timestamp.encode() + b":" + raw
    given = _after(headers, header, told.prefix)
    if told.encoding == "base64":
        given = _hex_of(given)
    _signed(signed, [given], secrets, header)


def prove_standard(
    raw: bytes, headers: Mapping[str, str], _rules: HookRules, secrets: Sequence[str], now: datetime
) -> None:
    """Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature` (several, `v1,` and base64)."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id:
        raise UnprovenError("There is no webhook-id: send webhooks as Standard Webhooks 1.0 says.")
    _check_age(timestamp, now, "webhook-timestamp")
    listed = headers.get("webhook-signature", "")[:_LONGEST_HEADER].split()[:_MOST_SIGNATURES]
    given = [_hex_of(each.removeprefix("v1,")) for each in listed if each.startswith("v1,")]
    signed = f"{message_id}.{timestamp}.".encode() + raw
    _signed(signed, given, [standard_key(each) for each in secrets], "webhook-signature")


def standard_key(secret: str) -> bytes:
    """The key that a secret of Standard Webhooks stands for. Raises ValueError when it is none."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret of Standard Webhooks is base64, with whsec_ before it or without") from error


def _signed(signed: bytes, given: Sequence[str], secrets: Sequence[str | bytes], header: str) -> None:
    keys = [each.encode() if isinstance(each, str) else each for each in secrets]
    expected = [hmac.new(key, signed, hashlib.sha256).hexdigest().encode() for key in keys]
    fits = [_one_fits(each.strip().lower().encode("utf-8", "replace"), expected) for each in given]
    if True not in fits:
        what = "does not fit the body and a secret of this source" if any(given) else "is missing"
        raise UnprovenError(f"The signature in {header} {what}: sign the body as it is sent, with HMAC-SHA256.")


def _one_fits(given: bytes, expected: Iterable[bytes]) -> bool:
    """Whether any fits; all are compared, so that the time says nothing of which."""
    return True in [hmac.compare_digest(given, each) for each in expected]


def _check_age(timestamp: str, now: datetime, header: str) -> None:
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > _LONGEST_SECONDS:
        raise UnprovenError(f"{header} holds no time: send seconds since 1970.")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        raise UnprovenError(f"{header} is more than five minutes away from our time: check the clocks, and send anew.")


def _after(headers: Mapping[str, str], header: str, prefix: str) -> str:
    given = headers.get(header, "")
    return given[len(prefix) :] if given.startswith(prefix) else ""


def _hex_of(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).hex()
    except (binascii.Error, ValueError):
        return ""


_Prove = Callable[[bytes, Mapping[str, str], HookRules, Sequence[str], datetime], None]
_PROOFS: Mapping[Proof, _Prove] = {
    Proof.BEARER: prove_bearer,
    Proof.BASIC: prove_basic,
    Proof.SIGNATURE: prove_signature,
    Proof.HMAC_HEADER: prove_hmac,
    Proof.STANDARD_WEBHOOKS: prove_standard,
}
