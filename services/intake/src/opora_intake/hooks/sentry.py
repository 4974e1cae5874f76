"""Sentry's webhooks: alerts on events, metric alerts, issues, errors and comments.

https://docs.sentry.io/organization/integrations/integration-platform/webhooks/
"""

from collections.abc import Mapping

from opora_intake.domain.hooks import HookReading, Ignored, Signal, Turn
from opora_intake.hooks.payload import (
    Json,
    UnreadableError,
    found,
    items,
    key_of,
    lines_of,
    pairs,
    text_of,
    title_of,
    words,
)

_MOST_FRAMES = 20
_ISSUES = {"created": Turn.BEGINS, "unresolved": Turn.BEGINS, "resolved": Turn.ENDS}
_METRICS = {"critical": Turn.BEGINS, "warning": Turn.BEGINS, "resolved": Turn.ENDS}


def read_sentry(payload: Json, resource: str) -> HookReading:
    """By the resource that the header Sentry-Hook-Resource names; without one, by what the payload holds."""
    action, data = words(payload, "action"), pairs(payload, "data")
    resource = resource or next((each for each in ("metric_alert", "issue", "error", "event") if each in data), "")
    match resource:
        case "event_alert" | "event" | "error":
            return (_event(pairs(data, "event") or pairs(data, "error"), words(data, "triggered_rule")),)
        case "issue":
            return _issue(pairs(data, "issue"), action)
        case "metric_alert":
            return _metric_alert(data, action)
        case "comment":
            return _comment(data, action)
        case "":
            raise UnreadableError("There is no header Sentry-Hook-Resource, and no event, issue or alert in /data.")
        case _:
            return Ignored(f"a message about {resource[:50]} is no case for support")


def _event(event: Mapping[str, Json], rule: str) -> Signal:
    issue = found(event, "issue_id") or found(event, "issue", "id") or found(event, "groupID")
    if not issue:
        raise UnreadableError("The event names no issue_id.")
    text = text_of(
        words(event, "message"),
        lines_of({"Where": event.get("culprit"), "Rule": rule}),
        _trace(event),
        lines_of(
            {
                "Event": event.get("web_url"),
                "Issue": event.get("issue_url"),
                "Level": event.get("level"),
                "Project": event.get("project"),
                "Environment": event.get("environment"),
                "Release": event.get("release"),
                "At": event.get("datetime"),
            }
        ),
        lines_of({words(tag, 0): found(tag, 1) for tag in items(event, "tags")}),
    )
    metadata = ": ".join(filter(None, (words(event, "metadata", "type"), words(event, "metadata", "value"))))
    return Signal(
        key=_key(issue),
        turn=Turn.BEGINS,
        title=title_of(words(event, "title"), metadata, words(event, "message"), "An event without a title"),
        body=text,
        news=text,
        severity=words(event, "level") or None,
    )


def _issue(issue: Mapping[str, Json], action: str) -> HookReading:
    if not issue.get("id"):
        raise UnreadableError("There is no /data/issue/id.")
    turn = _ISSUES.get(action, Turn.TELLS)
    text = text_of(
        lines_of(
            {
                "Where": issue.get("culprit"),
                "Issue": issue.get("web_url") or issue.get("permalink"),
                "Short id": issue.get("shortId"),
                "Level": issue.get("level"),
                "Status": issue.get("status"),
                "Project": found(issue, "project", "slug"),
                "Assigned to": found(issue, "assignedTo", "name"),
                "First seen": issue.get("firstSeen"),
                "Last seen": issue.get("lastSeen"),
                "Times seen": issue.get("count"),
            }
        )
    )
    return (
        Signal(
            key=_key(issue["id"]),
            turn=turn,
            title=title_of(words(issue, "title"), words(issue, "metadata", "value"), "An issue without a title"),
            body=text,
            news=text_of(f"The issue was {action or 'changed'} in Sentry.", text),
            severity=words(issue, "level") or None,
            may_open=turn is Turn.BEGINS,
        ),
    )


def _metric_alert(data: Mapping[str, Json], action: str) -> HookReading:
    turn, alert = _METRICS.get(action), pairs(data, "metric_alert")
    identity = alert.get("id") or found(alert, "alert_rule", "id")
    if not identity:
        raise UnreadableError("There is no /data/metric_alert/id.")
    if turn is None:
        return Ignored(f"a metric alert was {action[:50] or 'touched'}")
    text = text_of(
        words(data, "description_text"),
        lines_of({"Alert": data.get("web_url"), "Rule": found(alert, "alert_rule", "name")}),
    )
    return (
        Signal(
            key=key_of("metric_alert", identity),
            turn=turn,
            title=title_of(words(data, "description_title"), words(alert, "title"), "A metric alert without a title"),
            body=text,
            news=text_of(f"The alert is {action}.", text),
            severity=action,
        ),
    )


def _comment(data: Mapping[str, Json], action: str) -> HookReading:
    if action != "created":
        return Ignored(f"a comment was {action[:50] or 'changed'}")
    text = words(data, "comment")
    if not data.get("issue_id") or not text:
        raise UnreadableError("The comment has no issue_id or no text.")
    return (
        Signal(
            key=_key(data["issue_id"]),
            turn=Turn.TELLS,
            title="A comment",
            body="",
            news=text_of("A comment was written in Sentry:", text),
            may_open=False,
        ),
    )


def _trace(event: Mapping[str, Json]) -> str:
    frames = items(event, "exception", "values", -1, "stacktrace", "frames")[-_MOST_FRAMES:]
    return "\n".join(
        f"{words(frame, 'filename') or '?'}:{words(frame, 'lineno') or '?'} {words(frame, 'function')}".strip()
        for frame in reversed(frames)
    )


def _key(issue: Json) -> str:
    return key_of("issue", str(issue) if isinstance(issue, int | str) else issue)
