"""PagerDuty's webhooks: version 3, and the messages of version 2 that older installations still send.

https://developer.pagerduty.com/docs/webhooks-overview
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

_TURNS = {
    "incident.triggered": Turn.BEGINS,
    "incident.reopened": Turn.BEGINS,
    "incident.trigger": Turn.BEGINS,
    "incident.resolved": Turn.ENDS,
    "incident.resolve": Turn.ENDS,
}
_MOST_MESSAGES = 100


def read_pagerduty(payload: Json) -> HookReading:
    """The incident's case: triggered begins, resolved ends, whatever else happens to it is told."""
    if "event" in payload:
        event = pairs(payload, "event")
        return _read(words(event, "event_type"), pairs(event, "data"), event)
    messages = items(payload, "messages")[:_MOST_MESSAGES]
    if not messages:
        raise UnreadableError("There is neither an /event nor a /messages.")
    signals: list[Signal] = []
    for message in messages:
        what = words(message, "type") or words(message, "event")
        incident = pairs(message, "data", "incident") or pairs(message, "incident")
        read = _read(what, incident, message)
        if isinstance(read, tuple):
            signals.extend(read)
    return tuple(signals) or Ignored("no message is about an incident")


def _read(what: str, data: Mapping[str, Json], event: Json) -> HookReading:
    if not what.startswith("incident"):
        return Ignored(f"the event {what[:50] or 'without a name'} is not about an incident")
    # Notes, updates and responders are things of their own, which name their incident.
    incident = pairs(data, "incident") or data
    identity = words(incident, "id") or words(incident, "incident_key")
    if not identity:
        raise UnreadableError("The incident has no id.")
    turn = _TURNS.get(what, Turn.TELLS)
    subject = words(incident, "trigger_summary_data", "subject")
    described = text_of(
        words(incident, "description"),
        lines_of(
            {
                "Incident": incident.get("html_url"),
                "Number": incident.get("number") or incident.get("incident_number"),
                "Service": found(incident, "service", "summary") or found(incident, "service", "name"),
                "Status": incident.get("status"),
                "Urgency": incident.get("urgency"),
                "Priority": found(incident, "priority", "summary"),
                "Assigned to": ", ".join(filter(None, (words(a, "summary") for a in items(incident, "assignees")))),
                "At": found(event, "occurred_at") or found(event, "created_on"),
            }
        ),
    )
    said = words(data, "content") or words(data, "message")
    who = words(event, "agent", "summary") or words(incident, "last_status_change_by", "name")
    return (
        Signal(
            key=key_of("incident", identity),
            turn=turn,
            title=title_of(
                words(incident, "title"), subject, words(incident, "summary"), f"PagerDuty incident {identity}"
            ),
            body=described,
            news=text_of(f"{what} in PagerDuty{f' by {who}' if who else ''}.", said, described),
            severity=words(incident, "priority", "summary") or words(incident, "urgency") or None,
        ),
    )
