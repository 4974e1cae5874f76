"""Letters lost and doubled, second surveys, needless and missing dead letters, and what is used up."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from opora_cli.chaos.observation import DeadLetter, LedgerRow, Observation
from opora_cli.chaos.record import Injected
from opora_cli.checks.history import Record
from opora_contracts.topics import NOTIFICATIONS, REQUESTS, SLA, TICKETS
from opora_contracts.vocabulary import MessageChannel
from tools.cli.tests.test_cli_chaos_invariants import ONE, TWO, retabled, rewritten, violated
from tools.cli.tests.test_cli_chaos_invariants_world import asked, calm, fault, hook, letter, sample
from tools.cli.tests.test_cli_chaos_oracle import MONITORING, at

EMAIL, WEBHOOK = MessageChannel.EMAIL, MessageChannel.WEBHOOK


def first_row(observation: Observation, channel: MessageChannel) -> LedgerRow:
    """The message about ticket 1's creation; under way from 0 s to 1 s."""
    return next(row for row in observation.notifications if row.channel == channel)


def without_its_letter() -> Observation:
    observation = calm().observe()
    return replace(observation, letters=observation.letters[1:])


def without_its_webhook() -> Observation:
    observation = calm().observe()
    return replace(observation, hooks=observation.hooks[1:])


def with_its_webhook_refused() -> Observation:
    observation = calm().observe()
    return replace(observation, hooks=[hook(first_row(observation, WEBHOOK), answered=500), *observation.hooks[1:]])


def never_planned() -> Observation:
    """Nothing at all is known of the letter about ticket 1's creation."""
    observation = calm().observe()
    row = first_row(observation, EMAIL)
    told = {key: count for key, count in observation.services["notify"].told.items() if key[1] != row.notification_id}
    observation = replace(
        observation,
        notifications=[each for each in observation.notifications if each != row],
        letters=observation.letters[1:],
    )
    observation = rewritten(
        observation, NOTIFICATIONS.name, lambda events: [e for e in events if e.subject != row.notification_id]
    )
    return retabled(observation, "notify", told=told)


def in_state(state: str, reason: str | None = None) -> Observation:
    """The letter about ticket 1's creation did not leave."""
    observation = calm().observe()
    row = first_row(observation, EMAIL)
    changed = replace(row, state=state, reason=reason)
    return replace(
        observation,
        notifications=[changed if each == row else each for each in observation.notifications],
        letters=observation.letters[1:],
    )


def copied(*faults: Injected, suffix: str = "", copies: int = 1) -> Observation:
    """The letter about ticket 1's creation came more often than once."""
    observation = calm().observe()
    more = [letter(first_row(observation, EMAIL), suffix)] * copies
    return replace(observation, letters=[*observation.letters, *more], faults=[*observation.faults, *faults])


def copied_webhook(*faults: Injected, answered: int | None = 204) -> Observation:
    observation = calm().observe()
    again = hook(first_row(observation, WEBHOOK), answered)
    return replace(observation, hooks=[*observation.hooks, again], faults=[*observation.faults, *faults])


def from_nobody() -> Observation:
    observation = calm().observe()
    row = replace(first_row(observation, EMAIL), notification_id=str(UUID(int=8888)))
    return replace(observation, letters=[*observation.letters, letter(row)])


KILL = fault("kill", "notify-timers-2", 0.5, 3)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (without_its_letter, f"{ONE}: message"),
        (without_its_webhook, f"{ONE}: message"),
        (with_its_webhook_refused, f"{ONE}: message"),
        (never_planned, f"{ONE}: customer:"),
        (partial(in_state, "sending", "the mail server answered 451"), f"{ONE}: message"),
        (partial(in_state, "failed"), f"{ONE}: message"),
        (copied, f"{ONE}: message"),
        (copied_webhook, f"{ONE}: message"),
        # A crash after the message was done, one of somebody else, one crash for two more copies, another id.
        (partial(copied, fault("kill", "notify-timers-2", 1.5, 3)), f"{ONE}: message"),
        (partial(copied, fault("kill", "sla-timers-1", 0.5, 3)), f"{ONE}: message"),
        (partial(copied, fault("webhook", "webhook", 0.5, 3)), f"{ONE}: message"),
        (partial(copied, KILL, copies=2), f"{ONE}: message"),
        (partial(copied, KILL, suffix=".1"), f"{ONE}: message"),
        (from_nobody, str(UUID(int=8888))),
    ],
)
def test_a_message_that_is_lost_or_doubled_is_reported(broken: Callable[[], Observation], named: str) -> None:
    """Lost, unfinished, copied without need or under two ids: each is I8, and names the message."""
    found = violated(broken())
    assert found.keys() == {"I8"}
    assert named in found["I8"]


@pytest.mark.parametrize(
    "kept",
    [
        partial(copied, KILL),
        partial(copied, fault("cut_after", "notify>smtp", 0.5, 3), copies=3),
        partial(copied, fault("kill_server", "postgres", 0.5, 8)),
        partial(copied, fault("kill_all", "all", 0.5, 8)),
        partial(copied_webhook, fault("hang", "webhook", 0.5, 3)),
        partial(copied_webhook, answered=500),
        partial(in_state, "suppressed", "the customer has no mail address"),
    ],
)
def test_what_a_crash_can_do_to_a_message_is_accepted(kept: Callable[[], Observation]) -> None:
    """One more copy for each crash or cut while it was under way, and an end with a reason."""
    assert violated(kept()) == {}


def asked_twice() -> Observation:
    world = calm()
    world.say(7, asked(1, 72), cause="/opora/intake:00000000-0000-0000-0000-000000000001:5")
    return world.observe()


def never_asked() -> Observation:
    world = calm()
    world.unsay(world.events["opora.feedback"][0])
    return world.observe()


def asked_and_not_stored() -> Observation:
    return replace(calm().observe(), surveys=[])


def stored_and_not_asked() -> Observation:
    observation = calm().observe()
    return replace(observation, surveys=[*observation.surveys, replace(observation.surveys[0], survey_id="another")])


@pytest.mark.parametrize("broken", [asked_twice, never_asked, asked_and_not_stored, stored_and_not_asked])
def test_a_survey_too_many_or_too_few_is_reported(broken: Callable[[], Observation]) -> None:
    """Two surveys for one closing, none, or one that feedback does not know: each is I9, and names the ticket."""
    found = violated(broken())
    assert found.keys() == {"I9"}
    assert f"ticket {ONE} cycle 1" in found["I9"]


def put_aside(service: str, **about: Any) -> Observation:
    """One more dead letter."""
    written: dict[str, Any] = {
        "consumer": TICKETS.name,
        "key": TWO,
        "source": "/opora/intake",
        "event_id": "x",
        "reason_code": "gap",
        "topic": TICKETS.name,
        "partition": 0,
        "offset": 3,
    }
    observation = calm().observe()
    letters = [*observation.services[service].dead_letters, DeadLetter(**written | about)]
    return retabled(observation, service, dead_letters=letters)


def kept_letters(*places: int, reason_code: str | None = None) -> Observation:
    """Of intake's two dead letters, the broken event and the queued one, only these; perhaps with another reason."""
    observation = calm().observe()
    letters = [observation.services["intake"].dead_letters[place] for place in places]
    if reason_code is not None:
        letters[0] = replace(letters[0], reason_code=reason_code)
    return retabled(observation, "intake", dead_letters=letters)


def parked(service: str, *keys: tuple[str, str]) -> Observation:
    return retabled(calm().observe(), service, parked=frozenset(keys))


@pytest.mark.parametrize(
    ("broken", "ids", "named"),
    [
        (partial(put_aside, "sla"), {"I11"}, TWO),
        (partial(put_aside, "intake", consumer=REQUESTS.name, topic=REQUESTS.name, key="alert-1"), {"I11"}, "alert-1"),
        (partial(parked, "sla", (TICKETS.name, TWO)), {"I11"}, TWO),
        (partial(parked, "intake"), {"I11"}, "alert-2"),
        (partial(kept_letters, 1), {"I11"}, "submit_broken alert-2"),
        (partial(kept_letters, 0, 1, reason_code="queued"), {"I11"}, "without its reason"),
        (partial(kept_letters, 0, 1, reason_code="bad_json"), {"I11"}, "it is wrong_schema"),
        # What was not held back had no effect either: it is lost.
        (partial(kept_letters, 0), {"I1", "I11"}, "submit alert-2 of alert-2 overtook the broken one"),
    ],
)
def test_poison_that_does_not_wait_aside_is_reported(
    broken: Callable[[], Observation], ids: set[str], named: str
) -> None:
    """A needless dead letter, a missing one, one that does not say why, a key that flows on: each is I11."""
    found = violated(broken())
    assert found.keys() == ids
    assert named in found["I11"]


def test_a_copy_of_a_broken_event_waits_like_anything_else_behind_it() -> None:
    """The same broken event a second time on the topic is queued: nothing is wrong with that."""
    observation = calm().observe()
    letters = observation.services["intake"].dead_letters
    again = replace(letters[0], reason_code="queued", offset=2)
    record = Record(REQUESTS.name, 0, 2, at(32), "alert-2", None, MONITORING, again.event_id, "wrong_schema")
    records = {**observation.records, REQUESTS.name: [*observation.records[REQUESTS.name], record]}
    observation = retabled(replace(observation, records=records), "intake", dead_letters=[*letters, again])
    assert violated(observation) == {}


def used(**about: Any) -> Observation:
    """In the last quarter of its time the process used this."""
    usage = {"tasks": 20} | about
    samples = [*(sample(number, tasks=20) for number in range(12)), *(sample(n, **usage) for n in range(12, 16))]
    return replace(calm().observe(), samples=samples)


@pytest.mark.parametrize(
    ("broken", "ids", "named"),
    [
        (partial(used, megabytes=301), {"I16"}, "sla-consume-1 (17) took 301 MB"),
        (partial(used, connections=9), {"I16"}, "sla-consume-1 (17) held 9 database connections"),
        (partial(used, tasks=91), {"I16"}, "sla-consume-1 (17) had 20 tasks at first and 91"),
    ],
)
def test_a_leak_is_reported(broken: Callable[[], Observation], ids: set[str], named: str) -> None:
    """Memory, connections or tasks beyond their bounds: each is I16, and names the process."""
    found = violated(broken())
    assert found.keys() == ids
    assert named in found["I16"]


def test_what_a_process_may_use_is_accepted() -> None:
    """Up to the bounds nothing is said."""
    assert violated(used(megabytes=299, connections=8, tasks=90)) == {}


@pytest.mark.parametrize("after", [None, 60.1])
def test_a_platform_that_does_not_come_to_rest_is_reported(after: float | None) -> None:
    """Not within a minute, or never."""
    observation = replace(calm().observe(), settled_after_seconds=after)
    assert violated(observation).keys() == {"I12"}


def test_an_outbox_that_is_not_empty_is_no_rest() -> None:
    """A fact that waits is reported with its service."""
    found = violated(retabled(calm().observe(), "feedback", outbox=[(SLA.name, TWO)]))
    assert found == {"I4": "feedback has 1 facts in its outbox"}
