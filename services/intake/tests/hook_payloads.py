"""Webhooks written by hand in the formats of their senders, and how each sender signs."""

import base64
import hashlib
import hmac
import json
from typing import Any
from uuid import uuid4

Json = dict[str, Any]

SECRET = "a secret of the tests"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"a key of the tests, 32 octets !!").decode()
FIRING_SINCE = "2026-03-02T08:14:05.120Z"


def alert(name: str = "DiskFull", *, over: bool = False, **labels: str) -> Json:
    """An alert of Prometheus as Alertmanager hands it on; its fingerprint follows from its labels."""
    told = {"alertname": name, "severity": "critical", "instance": "db-1:9100"} | labels
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "status": "resolved" if over else "firing",
        "labels": told,
        "annotations": {"summary": "The disk is full", "runbook_url": "https://runbooks.example.org/disk"},
        "startsAt": FIRING_SINCE,
        "endsAt": "2026-03-02T09:00:00Z" if over else "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example.org/graph?g0.expr=disk",
        "fingerprint": digest,
    }


def alertmanager(*alerts: Json, group: str = "disk") -> Json:
    """A notification about a group, version 4."""
    return {
        "version": "4",
        "groupKey": f'{{}}:{{group="{group}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if any(each["status"] == "firing" for each in alerts) else "resolved",
        "receiver": "opora",
        "groupLabels": {"group": group},
        "commonLabels": {"alertname": alerts[0]["labels"]["alertname"]} if alerts else {},
        "commonAnnotations": {},
        "externalURL": "https://alertmanager.example.org",
        "alerts": list(alerts),
    }


def grafana(*alerts: Json, group: str = "cpu") -> Json:
    """A notification of Grafana 9 and later."""
    return alertmanager(*alerts, group=group) | {"orgId": 1, "title": "[FIRING:1] cpu", "state": "alerting"}


def sentry_issue(action: str, issue: str = "4509") -> Json:
    """A message about an issue of Sentry."""
    return {
        "action": action,
        "installation": {"uuid": "7a485448-a9e2-4c85-8a3c-4f44175783c9"},
        "data": {
            "issue": {
                "id": issue,
                "shortId": "SHOP-7",
                "title": "KeyError: 'basket'",
                "culprit": "shop.views.checkout",
                "level": "error",
                "status": "unresolved",
                "web_url": f"https://example.sentry.io/issues/{issue}/",
                "project": {"slug": "shop"},
            }
        },
        "actor": {"type": "user", "id": 1, "name": "Anna"},
    }


def github_issue(action: str, number: int = 7, **fields: Any) -> Json:
    """A message about an issue on GitHub, without the fields that nobody reads."""
    return {
        "action": action,
        "issue": {
            "html_url": f"https://github.com/example/shop/issues/{number}",
            "number": number,
            "title": "The basket is empty",
            "body": "I put things in,\nand they are gone.",
            "user": {"login": "kira", "type": "User"},
            "labels": [{"name": "bug"}],
            "state": "open",
            **fields,
        },
        "repository": {"full_name": "example/shop"},
        "sender": {"login": "kira"},
    }


def github_comment(
    text: str, *, by: str = "kira", association: str = "NONE", number: int = 7, kind: str = "User"
) -> Json:
    """A comment on that issue."""
    told = github_issue("created", number)
    told["comment"] = {
        "id": uuid4().int % 10**9,
        "html_url": f"https://github.com/example/shop/issues/{number}#issuecomment-1",
        "user": {"login": by, "type": kind},
        "author_association": association,
        "body": text,
    }
    return told


def pagerduty(event_type: str, incident: str = "Q1ABCDE", **data: Any) -> Json:
    """An event of PagerDuty, version 3."""
    return {
        "event": {
            "id": uuid4().hex,
            "event_type": event_type,
            "resource_type": "incident",
            "occurred_at": "2026-03-02T08:14:05.120Z",
            "agent": {"summary": "Anna", "type": "user_reference"},
            "data": {
                "id": incident,
                "type": "incident",
                "html_url": f"https://example.pagerduty.com/incidents/{incident}",
                "number": 12,
                "status": "triggered",
                "title": "Checkout answers 502",
                "service": {"summary": "Shop"},
                "urgency": "high",
                "priority": {"summary": "P1"},
                "assignees": [{"summary": "Anna"}],
                **data,
            },
        }
    }


def digest(body: bytes, secret: str | bytes = SECRET) -> str:
    """The HMAC-SHA256 in hexadecimal."""
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def headers_of(kind: str, body: bytes, **more: str) -> dict[str, str]:
    """What proves a delivery of this kind, with an id of its own where the sender gives one."""
    proofs = {
        "github": lambda: {"X-Hub-Signature-256": f"sha256={digest(body)}", "X-GitHub-Delivery": str(uuid4())},
        "sentry": lambda: {"Sentry-Hook-Signature": digest(body), "Request-ID": uuid4().hex},
        "pagerduty": lambda: {"X-PagerDuty-Signature": f"v1={digest(body)}"},
        "grafana": lambda: {"X-Grafana-Alerting-Signature": digest(body)},
    }
    given = proofs.get(kind, lambda: {"Authorization": f"Bearer {SECRET}"})()
    return {"Content-Type": "application/json", **given, **more}
