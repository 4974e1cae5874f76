"""A delivery read by its source's kind. Total: whatever the bytes are, there is a reading, and none is an exception."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from opora_intake.domain.hook_sources import HookKind, HookRules
from opora_intake.domain.hooks import HookReading, Unread
from opora_intake.hooks.alerts import read_alertmanager, read_grafana
from opora_intake.hooks.generic import read_generic
from opora_intake.hooks.github import read_github
from opora_intake.hooks.pagerduty import read_pagerduty
from opora_intake.hooks.payload import Json, UnreadableError, json_of
from opora_intake.hooks.sentry import read_sentry

FORM = "application/x-www-form-urlencoded"


def read_delivery(raw: bytes, headers: Mapping[str, str], rules: HookRules) -> HookReading:
    """What the delivery says. `headers` are the kept ones, by their names in lower case."""
    try:
        return _read(json_of(_content(raw, headers)), headers, rules)
    except UnreadableError as error:
        return Unread(str(error))


def _read(payload: Json, headers: Mapping[str, str], rules: HookRules) -> HookReading:
    if rules.kind is HookKind.GENERIC and rules.mapping is not None:
        return read_generic(payload, rules.mapping)
    if not isinstance(payload, dict):
        raise UnreadableError("The payload is not a JSON object.")
    match rules.kind:
        case HookKind.ALERTMANAGER:
            return read_alertmanager(payload, rules)
        case HookKind.GRAFANA:
            return read_grafana(payload, rules)
        case HookKind.SENTRY:
            return read_sentry(payload, headers.get("sentry-hook-resource", ""))
        case HookKind.GITHUB:
            return read_github(payload, headers.get("x-github-event", ""))
        case _:
            return read_pagerduty(payload)


def _content(raw: bytes, headers: Mapping[str, str]) -> bytes:
    """The JSON; GitHub puts it into the field `payload` of a form, unless it was told otherwise."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return raw
    try:
        fields = parse_qs(raw.decode("ascii"), strict_parsing=True, max_num_fields=10)
    except ValueError:
        raise UnreadableError("The body is not a web form.") from None
    if "payload" not in fields:
        raise UnreadableError("The form has no field payload.")
    return fields["payload"][-1].encode("utf-8", "replace")
