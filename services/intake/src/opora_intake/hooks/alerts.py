"""Alertmanager's webhooks (version 4, and 3 where it is the same), and Grafana's, which are made after them.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/
"""

from collections.abc import Mapping, Sequence

from opora_intake.domain.hook_sources import HookRules
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

_MOST_ALERTS_SHOWN = 50
_LEGACY = {"alerting": Turn.BEGINS, "no_data": Turn.BEGINS, "ok": Turn.ENDS}
_SUMMARIES = ("summary", "message", "description", "title")


def read_alertmanager(payload: Json, rules: HookRules) -> HookReading:
    """The group's case, or with `one_ticket_per` alert one of each alert; parts are alerts by their fingerprint."""
    alerts = [alert for alert in items(payload, "alerts") if isinstance(alert, dict)]
    if not alerts:
        raise UnreadableError("There is no alert in /alerts.")
    if rules.one_ticket_per == "alert":
        return tuple({signal.key: signal for signal in (_alone(alert, rules, payload) for alert in alerts)}.values())
    key = key_of(payload.get("groupKey") or pairs(payload, "groupLabels") or pairs(alerts[0], "labels"))
    parts = {_fingerprint(alert): not _is_over(alert) for alert in alerts}
    firing = [alert for alert in alerts if not _is_over(alert)]
    ended = not firing and words(payload, "status") != "firing"
    shown = firing or alerts
    common = pairs(payload, "commonLabels")
    return (
        Signal(
            key=key,
            turn=Turn.ENDS if ended else Turn.BEGINS,
            title=_title(payload, shown, common),
            body=text_of(
                words(payload, "message"),
                *(_described(alert) for alert in shown[:_MOST_ALERTS_SHOWN]),
                _left_out(len(shown), words(payload, "truncatedAlerts")),
                lines_of({"Sent by": payload.get("externalURL"), "Receiver": payload.get("receiver")}),
            ),
            news=text_of(
                f"{len(firing)} firing, {len(alerts) - len(firing)} resolved.",
                *(_described(alert) for alert in alerts[:_MOST_ALERTS_SHOWN]),
                _left_out(len(alerts), words(payload, "truncatedAlerts")),
            ),
            severity=_severity(rules, [common, *(pairs(alert, "labels") for alert in shown)]),
            parts=parts,
        ),
    )


def read_grafana(payload: Json, rules: HookRules) -> HookReading:
    """As Alertmanager's; the one alert of the notifications before Grafana 9 (`ruleId`, `state`) is read too."""
    if "alerts" in payload or "ruleId" not in payload:
        return read_alertmanager(payload, rules)
    state = words(payload, "state")
    turn = _LEGACY.get(state)
    if turn is None:
        return Ignored(f"the state of the alert is {state[:50] or 'not given'}")
    values = {words(match, "metric"): found(match, "value") for match in items(payload, "evalMatches")}
    text = text_of(
        words(payload, "message"),
        lines_of({name or "value": value for name, value in values.items()}),
        lines_of({"Rule": payload.get("ruleUrl"), "Picture": payload.get("imageUrl")}),
    )
    return (
        Signal(
            key=key_of(payload["ruleId"], payload.get("ruleName") or "-"),
            turn=turn,
            title=title_of(words(payload, "ruleName"), words(payload, "title")),
            body=text,
            news=text_of(words(payload, "title"), text),
            severity=words(payload, "tags", rules.severity_label) or None,
        ),
    )


def _alone(alert: Mapping[str, Json], rules: HookRules, payload: Json) -> Signal:
    over, described = _is_over(alert), _described(alert)
    return Signal(
        key=_fingerprint(alert),
        turn=Turn.ENDS if over else Turn.BEGINS,
        title=_title({}, [alert], {}),
        body=text_of(described, lines_of({"Sent by": payload.get("externalURL")})),
        news=described,
        severity=_severity(rules, [pairs(alert, "labels")]),
    )


def _title(payload: Json, alerts: Sequence[Mapping[str, Json]], common: Mapping[str, Json]) -> str:
    """The alert's name and what its summary says; for several alerts what they have in common."""
    annotations = pairs(payload, "commonAnnotations") if len(alerts) > 1 else pairs(alerts[0], "annotations")
    name = words(common, "alertname") or words(payload, "groupLabels", "alertname")
    name = name or words(alerts[0], "labels", "alertname")
    summary = next((text for text in (words(annotations, each) for each in _SUMMARIES) if text), "")
    several = f" ({len(alerts)} alerts)" if len(alerts) > 1 else ""
    named = f"{name}: {summary}" if name and summary and summary != name else name or summary
    return title_of(named and named + several, words(payload, "title"), f"An alert without a name{several}")


def _described(alert: Mapping[str, Json]) -> str:
    annotations, labels = pairs(alert, "annotations"), pairs(alert, "labels")
    begun = f"since {words(alert, 'startsAt')}" if words(alert, "startsAt") else ""
    heading = f"{'Resolved' if _is_over(alert) else 'Firing'}: {words(labels, 'alertname') or 'alert'} {begun}".strip()
    if _is_over(alert) and words(alert, "endsAt"):
        heading += f" until {words(alert, 'endsAt')}"
    links = {
        "Source": alert.get("generatorURL"),
        "Dashboard": alert.get("dashboardURL"),
        "Panel": alert.get("panelURL"),
        "Silence": alert.get("silenceURL"),
        "Values": alert.get("valueString"),
    }
    return text_of(heading, lines_of(annotations), lines_of(labels), lines_of(links))


def _left_out(count: int, truncated: str) -> str:
    hidden = max(count - _MOST_ALERTS_SHOWN, 0) + (int(truncated) if truncated.isdecimal() else 0)
    return f"and {hidden} more alerts" if hidden else ""


def _severity(rules: HookRules, labels: list[Mapping[str, Json]]) -> str | None:
    """The gravest severity that any of them names: the one of the highest impact, then of the highest urgency."""
    order = ("high", "medium", "low")
    named = {word for word in (words(each, rules.severity_label) for each in labels) if word}
    return min(named, key=lambda word: [order.index(level) for level in rules.levels_of(word)], default=None)


def _fingerprint(alert: Mapping[str, Json]) -> str:
    return key_of(words(alert, "fingerprint") or pairs(alert, "labels"))


def _is_over(alert: Mapping[str, Json]) -> bool:
    return words(alert, "status") == "resolved"
