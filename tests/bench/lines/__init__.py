"""Every line by its name: a coroutine from the ground to its rows."""

from collections.abc import Awaitable, Callable

from tests.bench.ground import Ground
from tests.bench.lines import (
    accept_to_clock,
    agreement_change,
    agreement_edit,
    business_time,
    due_clocks,
    growth,
    helpdesk,
    idle_pass,
    intake_http,
    intake_requests,
    memory,
    notify_mail,
    publication,
    relay,
    scaling,
    sla_consumer,
    ticket_lists,
)
from tests.bench.row import Row

LINES: dict[str, Callable[[Ground], Awaitable[list[Row]]]] = {
    "intake-http": intake_http.measure,
    "intake-requests": intake_requests.measure,
    "helpdesk": helpdesk.measure,
    "relay": relay.measure,
    "publication": publication.measure,
    "sla-consumer": sla_consumer.measure,
    "due-clocks": due_clocks.measure,
    "layered-clocks": due_clocks.measure_layered,
    "idle-pass": idle_pass.measure,
    "agreement-edit": agreement_edit.measure,
    "agreement-change": agreement_change.measure,
    "business-time": business_time.measure,
    "notify-mail": notify_mail.measure,
    "accept-to-clock": accept_to_clock.measure,
    "growth": growth.measure,
    "ticket-lists": ticket_lists.measure,
    "scaling": scaling.measure,
    "memory": memory.measure,
}
