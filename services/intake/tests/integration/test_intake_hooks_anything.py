"""Whatever a proven sender posts ends as a ticket, ignored with a reason, or in quarantine, and blocks nothing."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opora_intake.channels import leased
from opora_intake.channels.hooks import HookDesk, attempt
from opora_intake.domain.hook_sources import HookKind, HookRules
from opora_intake.domain.hooks import Ignored, Signal, Unread
from opora_intake.handlers.hooks import take_in
from opora_intake.hooks.reading import read_delivery
from opora_intake.store import hooks as store
from services.intake.tests import hook_payloads as sent

MAPPING = {"key": "/id", "title": "/title", "state": "/state", "body": "/body"}
HEADERS = {
    HookKind.GITHUB: ("x-github-event", ["issues", "issue_comment", "ping", ""]),
    HookKind.SENTRY: ("sentry-hook-resource", ["issue", "event_alert", "metric_alert", "comment", "error", ""]),
}
# The names that readers look for, so that arbitrary values stand where they matter.
NAMES = st.sampled_from(
    re.findall(
        r"\w+",
        """action actor alerts annotations alertname body comment commonLabels content data description event event_type
        exception fingerprint groupKey groupLabels id incident issue issue_id key labels level messages metadata
        metric_alert number project repository full_name ruleId startsAt state status summary tags title type user
        values stacktrace frames assignees truncatedAlerts""",
    )
)
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["firing", "resolved", "created", "opened", "closed", "incident.triggered", "alerting", "ok"]),
    st.characters(categories=["Cc", "Cf", "Cs", "Zl"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(NAMES, WORDS), inner, max_size=6)),
    max_leaves=25,
)


def changed(payload: Any, draw: Any) -> Any:
    """A real payload in which arbitrary values stand in arbitrary places."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    if isinstance(payload, dict):
        return {name: changed(value, draw) for name, value in payload.items()}
    return [changed(value, draw) for value in payload] if isinstance(payload, list) else payload


@st.composite
def bodies(draw: Any, kind: HookKind) -> bytes:
    """Any bytes, any JSON, or a damaged payload of the kind."""
    real: dict[HookKind, Any] = {
        HookKind.ALERTMANAGER: sent.alertmanager(sent.alert(), sent.alert(over=True, instance="b")),
        HookKind.GRAFANA: sent.grafana(sent.alert()),
        HookKind.SENTRY: sent.sentry_issue("created"),
        HookKind.GITHUB: sent.github_comment("x"),
        HookKind.PAGERDUTY: sent.pagerduty("incident.triggered"),
        HookKind.GENERIC: {"id": "1", "title": "A", "state": "open", "body": "b"},
    }
    match draw(st.integers(0, 3)):
        case 0:
            body: bytes = draw(st.binary(max_size=60))
            return body
        case 1:
            return json.dumps(draw(VALUES)).encode()
        case _:
            return json.dumps(changed(real[kind], draw)).encode()


def rules_of(kind: HookKind, one_ticket_per: str = "group") -> HookRules:
    fields = {"mapping": MAPPING} if kind is HookKind.GENERIC else {}
    return HookRules.model_validate({"kind": kind, "one_ticket_per": one_ticket_per, **fields})


@pytest.mark.parametrize("kind", list(HookKind))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_body_has_a_reading(kind: HookKind, data: Any) -> None:
    """No exception, and what is read fits the fields of a ticket and can be stored."""
    name, values = HEADERS.get(kind, ("x", [""]))
    headers = {name: data.draw(st.sampled_from(values))}
    rules = rules_of(kind, data.draw(st.sampled_from(["group", "alert"])))
    reading = read_delivery(data.draw(bodies(kind)), headers, rules)
    if isinstance(reading, Ignored | Unread):
        assert reading.reason
        return
    assert reading
    for signal in reading:
        assert isinstance(signal, Signal)
        assert 1 <= len(signal.key) <= 150
        assert signal.key.isprintable()
        assert 1 <= len(signal.title) <= 250
        assert signal.title == " ".join(signal.title.split())
        for text in (signal.body, signal.news, signal.title):
            assert len(text) <= 100_000
            assert "\0" not in text
            text.encode()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("kind", list(HookKind))
async def test_every_body_ends_somewhere_and_blocks_none(kept_room: Any, kind: HookKind) -> None:
    """Sixty arbitrary deliveries, then a good one: each has its outcome, and the last is opened."""
    desk, hook = HookDesk(kept_room.platform), f"{kind}-{uuid4().hex[:8]}"
    async with kept_room.database.transaction() as tx:
        await store.add_source(tx, hook, rules_of(kind), [sent.SECRET], "key:test")
    kept = await store.find_source(kept_room.database, hook)
    assert kept is not None
    name, values = HEADERS.get(kind, ("x", [""]))
    ids = []
    for place, body in enumerate([*_examples(kind, 60), _good(kind)]):
        async with kept_room.database.transaction() as tx:
            told = {name: values[0] if place == 60 else values[place % len(values)]}
            ids.append((await take_in(tx, kept.source, body, told))[0])
    # Some carry the same name of their delivery as another one, and are the same.
    assert len(set(ids)) >= 45
    while (claimed := await leased.claim(desk.tray)) is not None:
        await attempt(desk, claimed)
    for each in ids:
        delivery = await store.find_delivery(kept_room.database, each)
        assert delivery is not None
        assert delivery.state in {"handled", "quarantined"}, delivery
        assert delivery.ticket_id or delivery.reason
        assert (delivery.state == "quarantined") == (delivery.outcome == "unreadable")
    last = await store.find_delivery(kept_room.database, ids[-1])
    assert last is not None
    assert last.outcome == "opened", last


def _examples(kind: HookKind, count: int) -> list[bytes]:
    """So many bodies, each another one."""
    found: dict[bytes, None] = {}

    @settings(
        max_examples=5 * count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(body=bodies(kind))
    def gather(body: bytes) -> None:
        found[body] = None

    gather()
    assert len(found) >= count
    return list(found)[:count]


def _good(kind: HookKind) -> bytes:
    own = uuid4().hex
    good: dict[HookKind, Any] = {
        HookKind.ALERTMANAGER: sent.alertmanager(sent.alert(), group=own),
        HookKind.GRAFANA: sent.grafana(sent.alert(), group=own),
        HookKind.SENTRY: sent.sentry_issue("created", own),
        HookKind.GITHUB: sent.github_issue("opened", 4711),
        HookKind.PAGERDUTY: sent.pagerduty("incident.triggered", own),
        HookKind.GENERIC: {"id": own, "title": "A"},
    }
    return json.dumps(good[kind]).encode()
