"""Webhooks over HTTP: who may post, what is kept, and what becomes of it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from opora_chassis.http import create_key
from opora_contracts.topics import TICKETS
from opora_intake.store import hooks as store
from services.intake.tests import hook_payloads as sent
from services.intake.tests.hook_payloads import SECRET, headers_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAPPING = {"key": "/id", "title": "/title", "state": "/state"}
Source = Callable[..., Awaitable[str]]


@pytest.fixture
def source(desk: Any) -> Source:
    """Adds a source under a name of its own."""

    async def add(kind: str, **fields: Any) -> str:
        name = f"{kind}-{uuid4().hex[:8]}"
        more = {"mapping": MAPPING} if kind == "generic" else {}
        await desk.post("/hook-sources", {"name": name, "kind": kind, "secrets": [SECRET], **more, **fields})
        return name

    return add


async def post(desk: Any, hook: str, payload: Any, *, status: int = 202, **headers: str) -> Any:
    """Post as the sender of the source's kind does; the answer."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    given = headers_of(hook.partition("-")[0], body) | headers
    answer = await desk.client.post(f"/v1/hooks/{hook}", content=body, headers=given)
    assert answer.status_code == status, answer.text
    return answer.json()


async def handled(desk: Any, hook: str, payload: Any, **headers: Any) -> Any:
    """The delivery once it was handled."""
    return await settled(desk, (await post(desk, hook, payload, **headers))["delivery_id"])


async def settled(desk: Any, delivery_id: str) -> Any:
    async def done() -> Any:
        delivery = await desk.get(f"/hook-deliveries/{delivery_id}")
        return delivery if delivery["state"] != "received" else None

    return await desk.service.wait_until(done)


async def ticket_of(desk: Any, delivery: Any) -> Any:
    return await desk.get(f"/tickets/{delivery['ticket_id']}")


async def texts_of(desk: Any, delivery: Any) -> list[str]:
    return [message["body"] for message in (await desk.get(f"/tickets/{delivery['ticket_id']}/messages"))["items"]]


async def test_an_alert_is_a_ticket_as_its_source_says(desk: Any, source: Source) -> None:
    """Title, text, levels by severity, group and product; the fact stands on the topic."""
    company = await desk.post("/organizations", {"name": f"Company {uuid4()}"})
    defaults = {"organization_id": company["id"], "group": "platform", "product": "shop", "category": "disk"}
    hook = await source("alertmanager", defaults=defaults)
    delivery = await handled(desk, hook, sent.alertmanager(sent.alert()))
    assert (delivery["state"], delivery["outcome"], delivery["reason"]) == ("handled", "opened", None)
    ticket = await ticket_of(desk, delivery)
    assert ticket["title"] == "DiskFull: The disk is full"
    assert (ticket["channel"], ticket["priority"], ticket["requester_id"]) == ("event", "P1", None)
    assert (ticket["organization_id"], ticket["group"], ticket["product"], ticket["category"]) == tuple(
        defaults.values()
    )
    assert (ticket["external_source"], ticket["external_id"]) == (hook, '{}:{group="disk"}')
    (text,) = await texts_of(desk, delivery)
    assert "runbook_url: https://runbooks.example.org/disk" in text
    (created,) = await desk.published(TICKETS.name, ticket["id"], 1)
    assert (created.type, created.actor) == ("ticket.created", "system:hooks")


async def test_repeated_notifications_double_nothing(desk: Any, source: Source) -> None:
    """The same group again is said to be known; another alert in it is a note; its end resolves the ticket once."""
    hook = await source("alertmanager")
    one, two = sent.alert(), sent.alert(instance="db-2:9100")
    opened = await handled(desk, hook, sent.alertmanager(one))
    assert (await handled(desk, hook, sent.alertmanager(one)))["outcome"] == "repeated"
    assert (await handled(desk, hook, sent.alertmanager(one, two)))["outcome"] == "noted"
    over = [sent.alert(over=True), sent.alert(over=True, instance="db-2:9100")]
    ended = await handled(desk, hook, sent.alertmanager(*over))
    assert (ended["outcome"], ended["ticket_id"]) == ("ended", opened["ticket_id"])
    assert (await handled(desk, hook, sent.alertmanager(*over)))["outcome"] == "repeated"
    ticket = await ticket_of(desk, opened)
    assert (ticket["step"], ticket["resolution_code"]) == ("resolved", "solved")
    assert len((await desk.get("/tickets", external_source=hook))["items"]) == 1
    assert [text.partition(".")[0] for text in (await texts_of(desk, opened))[1:]] == [
        "2 firing, 0 resolved",
        "0 firing, 2 resolved",
    ]


@pytest.mark.parametrize(
    ("on_resolve", "step", "after"),
    [("close", "closed", "opened"), ("resolve", "resolved", "reopened"), ("note", "received", "noted")],
)
async def test_the_end_does_what_the_source_says(
    desk: Any, source: Source, on_resolve: str, step: str, after: str
) -> None:
    """Close, resolve or note; what fires again afterwards reopens, or is a ticket that names the closed one."""
    hook = await source("alertmanager", on_resolve=on_resolve)
    opened = await handled(desk, hook, sent.alertmanager(sent.alert()))
    ended = await handled(desk, hook, sent.alertmanager(sent.alert(over=True)))
    assert ended["outcome"] == "ended"
    assert (await ticket_of(desk, opened))["step"] == step
    again = await handled(desk, hook, sent.alertmanager(sent.alert()))
    assert again["outcome"] == after
    if after == "opened":
        assert again["ticket_id"] != opened["ticket_id"]
        assert (await ticket_of(desk, again))["external_id"] == '{}:{group="disk"}#2'
        assert (await ticket_of(desk, opened))["number"] in (await texts_of(desk, again))[-1]
    else:
        assert again["ticket_id"] == opened["ticket_id"]
        assert (await ticket_of(desk, again))["step"] == "received"


async def test_what_agents_resolved_is_not_reopened_by_a_repetition(desk: Any, source: Source) -> None:
    """The alert goes on for its sender; only when it was over once, or something new fires, is it news."""
    hook = await source("alertmanager")
    opened = await handled(desk, hook, sent.alertmanager(sent.alert()))
    await desk.post(f"/tickets/{opened['ticket_id']}/resolve")
    again = await handled(desk, hook, sent.alertmanager(sent.alert()))
    assert again["outcome"] == "repeated"
    news = await handled(desk, hook, sent.alertmanager(sent.alert(), sent.alert(instance="db-3")))
    assert (news["outcome"], news["ticket_id"]) == ("reopened", opened["ticket_id"])


async def test_a_case_that_somebody_else_opened_is_gone_on_with(desk: Any, source: Source) -> None:
    """A ticket under the same pair of source and id takes what the webhook says."""
    hook = await source("generic")
    ticket = await desk.opened(external_source=hook, external_id="door-1")
    delivery = await handled(desk, hook, {"id": "door-1", "title": "Open"})
    assert (delivery["outcome"], delivery["ticket_id"]) == ("noted", ticket["id"])


async def test_an_issue_on_github_lives_on_its_ticket(desk: Any, source: Source) -> None:
    """Comments are replies of either side, the end resolves, a redelivery is the delivery that it repeats."""
    hook = await source("github", on_resolve="resolve")
    issues: dict[str, Any] = {"X-GitHub-Event": "issues"}
    comments: dict[str, Any] = {"X-GitHub-Event": "issue_comment"}
    opened = await handled(desk, hook, sent.github_issue("opened"), **issues)
    assert opened["outcome"] == "opened"
    named: dict[str, Any] = {"X-GitHub-Delivery": "one"}
    payload = sent.github_comment("Which browser?", by="oleg", association="MEMBER")
    first = await post(desk, hook, payload, **comments, **named)
    assert await post(desk, hook, payload, **comments, **named) == first | {"repeated": True}
    assert (await settled(desk, first["delivery_id"]))["outcome"] == "replied"
    assert (await handled(desk, hook, sent.github_comment("Firefox."), **comments))["outcome"] == "replied"
    edited = await handled(desk, hook, sent.github_issue("edited"), **issues)
    assert edited["outcome"] == "noted"
    assert (await handled(desk, hook, sent.github_issue("closed"), **issues))["outcome"] == "ended"
    assert (await ticket_of(desk, opened))["step"] == "resolved"
    messages = (await desk.get(f"/tickets/{opened['ticket_id']}/messages"))["items"]
    assert [(each["visibility"], each["author_kind"], each["author"]) for each in messages[:3]] == [
        ("public", "customer", "system:hooks"),
        ("public", "agent", "github:oleg"),
        ("public", "customer", "github:kira"),
    ]
    assert (await handled(desk, hook, {"zen": "x"}, **{"X-GitHub-Event": "ping"}))["outcome"] == "ignored"


async def test_a_comment_on_an_unknown_issue_opens_its_ticket(desk: Any, source: Source) -> None:
    """A source that was added later misses nothing that is still talked about; on a closed ticket it is a note."""
    hook = await source("github")
    comments = {"X-GitHub-Event": "issue_comment"}
    opened = await handled(desk, hook, sent.github_comment("Still so."), **comments)
    assert opened["outcome"] == "opened"
    texts = await texts_of(desk, opened)
    assert texts[0].startswith("I put things in,")
    assert texts[1].startswith("Still so.")
    await desk.post(f"/tickets/{opened['ticket_id']}/close", {"resolution_code": "cancelled"})
    later = await handled(desk, hook, sent.github_comment("And now?"), **comments)
    assert (later["outcome"], later["ticket_id"]) == ("noted", opened["ticket_id"])


async def test_sentry_and_pagerduty_open_tell_and_end(desk: Any, source: Source) -> None:
    """Each in its own words; what ends without having begun is ignored, with the reason."""
    hook = await source("sentry")
    issue = {"Sentry-Hook-Resource": "issue"}
    assert (await handled(desk, hook, sent.sentry_issue("resolved", "1"), **issue))["outcome"] == "ignored"
    outcomes = [
        (await handled(desk, hook, sent.sentry_issue(action), **issue))["outcome"]
        for action in ("created", "assigned", "resolved", "unresolved")
    ]
    assert outcomes == ["opened", "noted", "ended", "reopened"]
    hook = await source("pagerduty")
    payload = sent.pagerduty("incident.triggered")
    first = await post(desk, hook, payload)
    assert (await post(desk, hook, payload))["delivery_id"] == first["delivery_id"]
    opened = await settled(desk, first["delivery_id"])
    assert (await ticket_of(desk, opened))["priority"] == "P1"
    acknowledged = await handled(desk, hook, sent.pagerduty("incident.acknowledged"))
    ended = await handled(desk, hook, sent.pagerduty("incident.resolved"))
    assert (opened["outcome"], acknowledged["outcome"], ended["outcome"]) == ("opened", "noted", "ended")
    assert len({each["ticket_id"] for each in (opened, acknowledged, ended)}) == 1


async def test_without_proof_nothing_is_kept(desk: Any, source: Source) -> None:
    """401 that says what to do, for a wrong signature and for none; 404 for a name that no source has."""
    hook = await source("github")
    for proof in ("", "sha256=" + "0" * 64):
        problem = await post(desk, hook, {}, status=401, **{"X-Hub-Signature-256": proof})
        assert "sign the body as it is sent" in problem["detail"]
        assert SECRET not in json.dumps(problem)
    await post(desk, "nobody", {}, status=404)
    await post(desk, "x" * 500, {}, status=404)
    assert (await desk.get("/hook-deliveries", hook=hook))["items"] == []


async def test_a_delivery_has_a_largest_size(desk: Any, source: Source) -> None:
    """2 MiB are kept, one byte more is refused, and so is a body of another kind."""
    hook = await source("generic")
    most = desk.service.platform.settings.intake_hook_max_bytes
    assert most == 2 * 1024 * 1024
    frame = len(json.dumps({"id": "a", "title": "b", "more": ""}))
    kept = await handled(desk, hook, {"id": "a", "title": "b", "more": "x" * (most - frame)})
    assert (kept["size_bytes"], kept["outcome"]) == (most, "opened")
    problem = await post(desk, hook, {"id": "a", "title": "b", "more": "x" * (most - frame + 1)}, status=413)
    assert str(most) in problem["detail"]
    await post(desk, hook, b"<x/>", status=415, **{"Content-Type": "application/xml"})


async def test_what_cannot_be_read_is_one_visible_ticket_and_can_be_read_later(desk: Any, source: Source) -> None:
    """Every such delivery is in quarantine and a note on the source's one ticket; mended, a retry makes its ticket."""
    hook = await source("generic")
    first = await handled(desk, hook, {"id": "1", "name": "A"})
    second = await handled(desk, hook, b"no json")
    assert (first["state"], first["outcome"]) == ("quarantined", "unreadable")
    assert first["reason"] == "There is nothing at /title, where the title is mapped."
    assert first["ticket_id"] == second["ticket_id"]
    assert first["id"] in [each["id"] for each in (await desk.get("/hook-deliveries", state="quarantined"))["items"]]
    notes = await texts_of(desk, first)
    assert [f"/v1/hook-deliveries/{each['id']}/raw" in note for each, note in zip((first, second), notes, strict=True)]
    raw = await desk.client.get(f"/v1/hook-deliveries/{second['id']}/raw")
    assert (raw.content, raw.headers["content-security-policy"]) == (b"no json", "sandbox; default-src 'none'")
    change = {"kind": "generic", "mapping": MAPPING | {"title": "/name"}}
    answer = await desk.client.put(f"/v1/hook-sources/{hook}", json=change)
    assert answer.status_code == 200, answer.text
    await desk.post(f"/hook-deliveries/{first['id']}/retry")
    mended = await settled(desk, first["id"])
    assert (mended["state"], mended["outcome"]) == ("handled", "opened")
    assert (await ticket_of(desk, mended))["title"] == "A"
    await desk.post(f"/hook-deliveries/{first['id']}/retry", status=409)
    await desk.post(f"/hook-deliveries/{uuid4()}/retry", status=404)


async def test_a_source_that_is_gone_loses_nothing(desk: Any, source: Source) -> None:
    """What waits for it goes to the quarantine, and is handled once the source is there again."""
    hook = await source("generic")
    async with desk.database.transaction() as tx:
        kept = await store.find_source(tx, hook)
        assert kept is not None
        delivery_id = uuid4()
        await store.keep_delivery(tx, delivery_id, hook, b'{"id": "1", "title": "A"}', headers={}, delivery_key=None)
        assert await store.remove_source(tx, hook)
    gone = await settled(desk, str(delivery_id))
    assert gone["state"] == "quarantined"
    assert f"There is no source {hook} any more" in gone["reason"]
    await desk.post("/hook-sources", {"name": hook, "kind": "generic", "secrets": [SECRET], "mapping": MAPPING})
    await desk.post(f"/hook-deliveries/{delivery_id}/retry")
    assert (await settled(desk, str(delivery_id)))["outcome"] == "opened"


async def test_sources_are_data_without_their_secrets(desk: Any) -> None:
    """Added, read, listed, changed, removed; no answer holds a secret, and a change without any keeps them."""
    name = f"generic-{uuid4().hex[:8]}"
    body = {"name": name, "kind": "generic", "secrets": [SECRET, "the next secret"], "mapping": MAPPING}
    added = await desk.post("/hook-sources", body, status=201)
    assert (added["proof"], added["secret_count"]) == ("bearer", 2)
    await desk.post("/hook-sources", body, status=409)
    listed = (await desk.get("/hook-sources"))["items"]
    assert added in listed
    assert "secrets" not in added
    assert SECRET not in json.dumps([added, listed, await desk.get(f"/hook-sources/{name}")])
    await post(desk, name, {"id": "1", "title": "A"}, Authorization="Bearer the next secret")
    change = {"kind": "generic", "mapping": MAPPING, "defaults": {"group": "night"}}
    changed = (await desk.client.put(f"/v1/hook-sources/{name}", json=change)).json()
    assert (changed["defaults"]["group"], changed["secret_count"]) == ("night", 2)
    only = change | {"secrets": ["the next secret"]}
    assert (await desk.client.put(f"/v1/hook-sources/{name}", json=only)).json()["secret_count"] == 1
    await post(desk, name, {"id": "1", "title": "A"}, status=401)
    assert (await desk.client.delete(f"/v1/hook-sources/{name}")).status_code == 204
    assert (await desk.client.delete(f"/v1/hook-sources/{name}")).status_code == 404
    assert (await desk.client.put(f"/v1/hook-sources/{name}", json=only)).status_code == 404
    await desk.get(f"/hook-sources/{name}", status=404)
    await post(desk, name, {"id": "1", "title": "A"}, status=404)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "No Name"},
        {"secrets": []},
        {"secrets": ["short"]},
        {"secrets": [SECRET] * 6},
        {"kind": "github"},
        {"mapping": None},
        {"proof": "basic"},
        {"proof": "standard_webhooks", "secrets": ["whsec_no base64"]},
        {"on_resolve": "delete"},
        {"severities": {"x": {"impact": "huge", "urgency": "low"}}},
    ],
)
async def test_a_source_that_cannot_work_is_refused(desk: Any, fields: dict[str, Any]) -> None:
    """When it is added, and not at the first delivery."""
    body = {"name": f"x-{uuid4().hex[:8]}", "kind": "generic", "secrets": [SECRET], "mapping": MAPPING}
    await desk.post("/hook-sources", body | fields, status=422)


async def test_scopes_keep_apart_who_may_what(desk: Any, source: Source) -> None:
    """Sources are for hooks:read and hooks:write, deliveries for those who may read messages."""
    hook = await source("generic")
    delivery = await handled(desk, hook, {"id": "1", "title": "A"})
    token = await create_key(desk.database, "reader", ["tickets:read"])
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("hook-sources", f"hook-sources/{hook}", "hook-deliveries", f"hook-deliveries/{delivery['id']}/raw"):
        assert (await desk.client.get(f"/v1/{path}", headers=headers)).status_code == 403
    assert (await desk.client.delete(f"/v1/hook-sources/{hook}", headers=headers)).status_code == 403
    found = await desk.get("/hook-deliveries", hook=hook, outcome="opened", ticket_id=delivery["ticket_id"])
    assert [each["id"] for each in found["items"]] == [delivery["id"]]


async def test_deliveries_are_shown_in_metrics(desk: Any, source: Source) -> None:
    """What came, what became of it, what waits and what is in quarantine."""
    await handled(desk, await source("generic"), b"no json")
    text = (await desk.client.get("/metrics")).text
    for line in (
        'opora_hook_requests_total{answer="kept"}',
        'opora_hook_requests_total{answer="unproven"}',
        'opora_hook_deliveries_total{outcome="unreadable"}',
        "opora_hook_deliveries_waiting",
        "opora_hook_deliveries_oldest_seconds",
        "opora_hook_deliveries_quarantined",
    ):
        assert f"\n{line}" in text
