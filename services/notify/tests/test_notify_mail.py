"""Notify as a whole, by mail: on a real Kafka, a real PostgreSQL and a real SMTP server."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from opora_chassis.identifiers import new_id
from opora_contracts.customers import CustomerMerged, CustomerUpdated
from opora_contracts.feedback import SurveyRequested
from opora_contracts.mail_threads import Claim, thread_of, token_keys
from opora_contracts.notifications import NotificationDelivered, NotificationFailed, NotificationSuppressed
from opora_contracts.sla import SlaBreached
from opora_contracts.tickets import TicketAssigned, TicketNoted, TicketReplied, TicketResolved, TicketUpdated
from opora_contracts.vocabulary import AuthorKind, Channel, Metric, Priority, ResolutionCode
from opora_notify.settings import NotifySettings

Notify = Callable[..., AbstractAsyncContextManager[Any]]


def text_of(letter: Any) -> str:
    """The text part of a letter, with the line ends of text."""
    return str(letter.get_body(("plain",)).get_content()).replace("\r\n", "\n")


async def test_a_new_ticket_writes_to_its_requester(notify: Notify, mail_server: Any) -> None:
    """A created ticket leads to one letter in the ticket's language, one ledger entry and one fact."""
    async with notify() as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id, language="ru")
        (entry,) = await post.notifications(ticket_id, "delivered")
        (fact,) = await post.told(1)
    (letter,) = mail_server.letters
    assert letter["To"] == "Olga <olga@example.org>"
    assert letter["Subject"] == "[OP-1042] VPN fails"
    assert letter["Message-ID"] == f"<{entry['notification_id']}@example.com>"
    assert "Мы получили ваше обращение" in text_of(letter)
    assert (entry["rule"], entry["recipient"]) == ("requester.ticket_created", f"customer:{customer.customer_id}")
    assert isinstance(fact.data, NotificationDelivered)
    assert (fact.subject, fact.sequence, fact.data.attempts) == (entry["notification_id"], 1, 1)
    assert fact.causation_id == entry["event_id"]
    assert "olga@" not in fact.data.model_dump_json()


@pytest.mark.parametrize(
    ("language", "actor", "channel"),
    [("en", "system:web-form", Channel.WEB), ("ru", "system:mail", Channel.EMAIL)],
)
async def test_what_anybody_can_write_is_not_repeated_to_the_address_it_names(
    notify: Notify, mail_server: Any, language: str, actor: str, channel: Channel
) -> None:
    """Nobody has proven the address: neither the title nor the name that were given leave with the acknowledgement."""
    async with notify() as post:
        customer = await post.register(name="Buy pills", email="victim@example.org")
        ticket_id = await post.open_ticket(
            customer.customer_id,
            title="Cheap pills",
            language=language,
            channel=channel,
            event={"actor": actor},
        )
        await post.notifications(ticket_id, "delivered")
    (letter,) = mail_server.letters
    assert "pills" not in letter.as_string().lower()
    assert "pills" not in text_of(letter).lower() + str(letter.get_body(("html",)).get_content()).lower()
    assert letter["To"] == "victim@example.org"
    assert (
        letter["Subject"]
        == {
            "en": "[OP-1042] We have received your request",
            "ru": "[OP-1042] Мы получили ваше обращение",
        }[language]
    )


async def test_an_event_delivered_twice_writes_once(notify: Notify, mail_server: Any) -> None:
    """The same facts again, in whatever number, lead to no second letter."""
    async with notify() as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id, event={"times": 3})
        resolved = TicketResolved(ticket_id=ticket_id, cycle=1, resolution_code=ResolutionCode.SOLVED)
        await post.publish(resolved, times=3)
        await post.notifications(ticket_id, "delivered", count=2)
        await post.told(2)
    assert len(mail_server.letters) == 2


async def test_a_merged_customer_is_reached_where_the_other_one_is(notify: Notify, mail_server: Any) -> None:
    """A ticket that names the old id writes to the one at the end of the merges, and to its own again once apart."""
    async with notify() as post:
        first = await post.register(email="first@example.org")
        second = await post.register(email="second@example.org")
        third = await post.register(name="Olga Z.", email="third@example.org")
        gone = "select 1 from customers where customer_id = $1 and merged_into is not null"
        for one, into in ((first, second), (second, third)):
            await post.publish(CustomerMerged(customer_id=one.customer_id, merged_into=into.customer_id))
            await post.service.wait_until(lambda one=one: post.database.fetchval(gone, one.customer_id))
        ticket_id = await post.open_ticket(first.customer_id)
        (entry,) = await post.notifications(ticket_id, "delivered")
        assert entry["recipient"] == f"customer:{first.customer_id}"
        await post.publish(CustomerUpdated(customer_id=first.customer_id, name="Olga", email="first@example.org"))
        alone = "select 1 from customers where customer_id = $1 and merged_into is null"
        await post.service.wait_until(lambda: post.database.fetchval(alone, first.customer_id))
        await post.notifications(await post.open_ticket(first.customer_id), "delivered")
    assert [letter["To"] for letter in mail_server.letters] == [
        '"Olga Z." <third@example.org>',
        "Olga <first@example.org>",
    ]


async def test_a_letter_waits_for_its_recipients_address(notify: Notify, mail_server: Any) -> None:
    """A ticket whose customer is not known yet, because another topic is behind, is written about once they are.

    The news itself brings the next attempt: the back-off would take an hour.
    """
    async with notify(retry_base_seconds=3600) as post:
        customer_id = new_id()
        ticket_id = await post.open_ticket(customer_id)

        async def was_tried() -> bool:
            (entry,) = await post.notifications(ticket_id, "pending", "sending")
            return entry["attempts"] >= 1 and "opora.customers is behind" in (entry["reason"] or "")

        await post.service.wait_until(was_tried)
        await post.register(customer_id=customer_id)
        (entry,) = await post.notifications(ticket_id, "delivered")
    assert entry["attempts"] == 2
    assert len(mail_server.letters) == 1


async def test_a_reply_is_fetched_and_quoted(notify: Notify, mail_server: Any, web_server: Any) -> None:
    """The text of an answer comes from intake at the moment of sending, with our key; the thread holds together."""
    message_id = new_id()
    path = f"/v1/messages/{message_id}"
    web_server.answers[path] = [(503, {}), (200, {"body": "Restart <the> client.\nЗатем войдите."})]
    async with notify(intake_url=web_server.url, intake_key="opk_reader") as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        await post.notifications(ticket_id, "delivered")
        replied = {"ticket_id": ticket_id, "message_id": message_id, "channel": Channel.WEB}
        await post.publish(TicketReplied(**replied, author_kind=AuthorKind.AGENT, author="anna"))
        entries = await post.notifications(ticket_id, "delivered", count=2)
    created, answer = mail_server.letters
    assert "Restart <the> client.\nЗатем войдите." in text_of(answer)
    assert "Restart &lt;the&gt; client." in answer.get_body(("html",)).get_content()
    assert answer["References"] == created["References"] == f"<ticket.{ticket_id}@example.com>"
    assert entries[1]["attempts"] == 2
    assert [(one[0], one[1]["authorization"]) for one in web_server.requests] == [(path, "Bearer opk_reader")] * 2


async def test_the_requester_s_answer_is_proven_by_the_address_that_it_goes_to(
    notify: Notify, mail_server: Any
) -> None:
    """Reply-To carries the token that intake opens: this ticket, this customer; an agent's letter proves nothing."""
    secrets = {"a": "a secret of thirty-two bytes and more"}
    settings = {
        "mail_reply_to": "support@example.com",
        "intake_mail_token_keys": secrets,
        "intake_mail_instance": "one",
    }
    async with notify(**settings) as post:
        agent = {"name": "Anna", "email": "anna@desk.example"}
        assert (await post.client.put("/v1/agents/anna", json=agent)).status_code == 200
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id, number="OP-1042")
        await post.notifications(ticket_id, "delivered")
        rule = {
            "name": "owner",
            "event_type": "ticket.assigned",
            "audience": ["assignee"],
            "channels": ["email"],
            "template": "notice",
        }
        assert (await post.client.put("/v1/rules", json={"rules": [rule]})).status_code == 200
        await post.publish(TicketAssigned(ticket_id=ticket_id, assignee="anna"))
        await post.notifications(ticket_id, "delivered", count=2)
    asked, told = mail_server.letters
    keys = token_keys(secrets, None)
    assert keys is not None
    opened = [
        thread_of(keys, recipients=[letter["Reply-To"]], message_ids=[], subject="").claim for letter in (asked, told)
    ]
    assert opened == [Claim(1042, customer.customer_id), None]
    assert told["Reply-To"] == "support@example.com"
    assert (asked["X-Opora-Instance"], asked["Auto-Submitted"]) == ("one", "auto-replied")


async def test_a_watcher_is_told_and_their_answer_is_proven_too(notify: Notify, mail_server: Any) -> None:
    """Who was copied in gets the next answer, none of what was before, and a token of their own."""
    secrets = {"a": "a secret of thirty-two bytes and more"}
    settings = {"mail_reply_to": "support@example.com", "intake_mail_token_keys": secrets}
    async with notify(**settings) as post:
        requester, watcher = await post.register(), await post.register(name="Vera", email="vera@example.org")
        ticket_id = await post.open_ticket(requester.customer_id, number="OP-1042")
        await post.notifications(ticket_id, "delivered")
        await post.publish(TicketUpdated(ticket_id=ticket_id, watchers=(f"customer:{watcher.customer_id}",)))
        await post.publish(
            TicketResolved(
                ticket_id=ticket_id,
                cycle=1,
                resolution_code=ResolutionCode.SOLVED,
                requester_id=requester.customer_id,
            )
        )
        await post.notifications(ticket_id, "delivered", count=3)
    keys = token_keys(secrets, None)
    assert keys is not None
    proven = {
        thread_of(keys, recipients=[letter["Reply-To"]], message_ids=[], subject="").claim
        for letter in mail_server.letters
    }
    assert proven == {Claim(1042, requester.customer_id), Claim(1042, watcher.customer_id)}
    assert sorted(letter["To"] for letter in mail_server.letters) == ["Olga <olga@example.org>"] * 2 + [
        "Vera <vera@example.org>"
    ]


def test_a_reply_address_that_cannot_carry_a_token_is_refused() -> None:
    """Too long a mailbox, no address, several keys of which none is named: the service does not start."""
    given: dict[str, Any] = {"database_dsn": "postgresql://nowhere", "kafka_bootstrap": "127.0.0.1:1"}
    keys = {"a": "a" * 32}
    for wrong in (
        {"mail_reply_to": "Support <support@example.com>"},
        {"mail_reply_to": "customer-support@example.com", "intake_mail_token_keys": keys},
        {"intake_mail_token_keys": {"a": "short"}, "mail_reply_to": "support@example.com"},
        {"intake_mail_token_keys": keys | {"b": "b" * 32}, "mail_reply_to": "support@example.com"},
        {"intake_mail_instance": "two words"},
    ):
        with pytest.raises(ValidationError):
            NotifySettings(**given | wrong)
    assert NotifySettings(**given, mail_reply_to="customer-support@example.com").token_keys is None


async def test_a_survey_letter_holds_the_signed_links(notify: Notify, mail_server: Any, web_server: Any) -> None:
    """The one-click addresses of a survey come from feedback at the moment of sending."""
    survey_id = new_id()
    links = {str(score): f"https://help.example.com/s/TOKEN/{score}" for score in range(1, 6)}
    web_server.answers[f"/v1/surveys/{survey_id}/links"] = [(200, links)]
    async with notify(feedback_url=web_server.url, feedback_key="opk_reader") as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(None)
        fact = SurveyRequested(
            survey_id=survey_id,
            ticket_id=ticket_id,
            cycle=1,
            customer_id=customer.customer_id,
            expires_at=await post.database.now() + timedelta(days=14),
        )
        await post.publish(fact)
        await post.notifications(ticket_id, "delivered")
    (letter,) = mail_server.letters
    assert all(link in text_of(letter) for link in links.values())


async def test_a_breach_reaches_assignee_and_lead(notify: Notify, mail_server: Any) -> None:
    """A breach, even when read before its ticket, writes to the two agents of the address book, each in theirs."""
    async with notify() as post:
        for agent_id, language in (("anna", "en"), ("lena", "ru")):
            body = {"name": agent_id.title(), "email": f"{agent_id}@desk.example", "language": language}
            assert (await post.client.put(f"/v1/agents/{agent_id}", json=body)).status_code == 200
        assert (await post.client.put("/v1/groups/Network", json={"lead": "lena"})).status_code == 200
        ticket_id = new_id()
        now = await post.database.now()
        await post.publish(
            SlaBreached(
                ticket_id=ticket_id,
                metric=Metric.RESOLUTION,
                cycle=1,
                agreement_id=new_id(),
                agreement_version=1,
                due_at=now,
                detected_at=now,
                used_seconds=14_400,
                target_seconds=14_400,
                priority=Priority.P2,
                assignee="anna",
                group="Network",
            )
        )
        await post.notifications(ticket_id, "pending", "sending", count=2)
        await post.open_ticket(None, ticket_id=ticket_id)
        await post.notifications(ticket_id, "delivered", count=2)
    subjects = {letter["To"]: letter["Subject"] for letter in mail_server.letters}
    assert subjects == {
        "Anna <anna@desk.example>": "[OP-1042] SLA breached: VPN fails",
        "Lena <lena@desk.example>": "[OP-1042] SLA нарушен: VPN fails",
    }


async def test_a_busy_mail_server_is_tried_again(notify: Notify, mail_server: Any) -> None:
    """Two temporary refusals delay the letter; the third attempt delivers it."""
    mail_server.refusals += ["451 4.3.0 try later", "452 4.2.2 mailbox full"]
    async with notify() as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        (entry,) = await post.notifications(ticket_id, "delivered")
        (fact,) = await post.told(1)
    assert (entry["attempts"], fact.data.attempts, len(mail_server.letters)) == (3, 3, 1)


async def test_a_refused_recipient_fails_at_once(notify: Notify, mail_server: Any) -> None:
    """A permanent refusal ends the letter after one attempt, with the server's words in the fact."""
    mail_server.refusals += ["550 5.1.1 no such user"]
    async with notify() as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        (entry,) = await post.notifications(ticket_id, "failed")
        (fact,) = await post.told(1)
    assert (entry["attempts"], mail_server.letters) == (1, [])
    assert isinstance(fact.data, NotificationFailed)
    assert fact.data.reason == "the mail server answered 550: 5.1.1 no such user"


async def test_a_letter_is_given_up_after_the_last_attempt(notify: Notify, mail_server: Any) -> None:
    """A server that never recovers is tried as often as the setting says, and no longer."""
    mail_server.refusals += ["451 4.3.0 try later"] * 10
    async with notify(max_attempts=3) as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        (entry,) = await post.notifications(ticket_id, "failed")
    assert entry["attempts"] == 3
    assert entry["reason"].startswith("given up after 3 attempts: ")
    assert len(mail_server.refusals) == 7


async def test_a_customer_without_an_address_is_left_alone(notify: Notify, mail_server: Any) -> None:
    """A customer who has no mail address gets no letter, and that is told."""
    async with notify() as post:
        customer = await post.register(email=None)
        ticket_id = await post.open_ticket(customer.customer_id)
        await post.notifications(ticket_id, "suppressed")
        (fact,) = await post.told(1)
    assert isinstance(fact.data, NotificationSuppressed)
    assert fact.data.reason == f"customer:{customer.customer_id} has no mail address"
    assert mail_server.letters == []


async def test_history_writes_to_nobody_and_is_remembered(notify: Notify, mail_server: Any) -> None:
    """Imported facts send nothing; a live reply to an imported ticket finds its number and its customer."""
    async with notify() as post:
        customer_id = new_id()
        await post.register(customer_id=customer_id)
        ticket_id = await post.open_ticket(customer_id, event={"import_id": "import-1"}, number="OP-7")
        note = TicketNoted(ticket_id=ticket_id, message_id=new_id())
        await post.publish(note, import_id="import-1")
        replied = TicketReplied(
            ticket_id=ticket_id, message_id=new_id(), author_kind=AuthorKind.AGENT, channel=Channel.WEB
        )
        await post.publish(replied)
        (entry,) = await post.notifications(ticket_id, "delivered")
    assert entry["event_type"] == "ticket.replied"
    assert [letter["Subject"] for letter in mail_server.letters] == ["[OP-7] VPN fails"]


async def test_a_finished_message_can_be_sent_again(notify: Notify, mail_server: Any) -> None:
    """A resend gives the message a new Message-ID and a second fact; one that is on its way refuses it."""
    async with notify() as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        (entry,) = await post.notifications(ticket_id, "delivered")
        target = f"/v1/notifications/{entry['notification_id']}/resend"
        assert (await post.client.post(target)).status_code == 200
        facts = await post.told(2)
        (entry,) = await post.notifications(ticket_id, "delivered")
        mail_server.refusals += ["451 4.3.0 try later"] * 100
        assert (await post.client.post(target)).status_code == 200
        assert (await post.client.post(target)).status_code == 409
        assert (await post.client.post(f"/v1/notifications/{new_id()}/resend")).status_code == 404
    assert [fact.sequence for fact in facts] == [1, 2]
    first, second = mail_server.letters
    assert second["Message-ID"] == f"<{entry['notification_id']}.1@example.com>"
    assert first["Message-ID"] != second["Message-ID"]


async def test_letters_share_a_connection(notify: Notify, mail_server: Any) -> None:
    """Ten letters need no more connections than there are workers."""
    async with notify(workers=2) as post:
        customer = await post.register()
        for _ in range(10):
            await post.open_ticket(customer.customer_id)
        await post.told(10)
    assert len(mail_server.letters) == 10
    assert mail_server.sessions <= 2


async def test_rules_are_data(notify: Notify, mail_server: Any) -> None:
    """Saved rules replace the defaults from the next event on; an edit of an old version is refused."""
    rule = {
        "name": "noc",
        "event_type": "ticket.created",
        "conditions": {"priority": ["P1"]},
        "audience": ["address:noc@example.com"],
        "channels": ["email"],
        "template": "notice",
    }
    async with notify() as post:
        client = post.client
        defaults = (await client.get("/v1/rules")).json()
        assert (defaults["version"], len(defaults["rules"])) == (0, 16)
        saved = await client.put("/v1/rules", json={"version": 0, "rules": [rule]})
        assert (saved.status_code, saved.json()["version"]) == (200, 1)
        stale = await client.put("/v1/rules", json={"version": 0, "rules": []})
        assert (stale.status_code, stale.json()["version"]) == (409, 1)
        unknown = await client.put("/v1/rules", json={"rules": [rule | {"template": "poem"}]})
        assert (unknown.status_code, "notice" in unknown.json()["known"]) == (422, True)
        assert (await client.put("/v1/rules", json={"rules": [rule | {"colour": "red"}]})).status_code == 422
        await post.open_ticket(None, priority=Priority.P2)
        ticket_id = await post.open_ticket(None, priority=Priority.P1)
        await post.notifications(ticket_id, "delivered")
        await post.told(1)
    (letter,) = mail_server.letters
    assert (letter["To"], letter["Subject"]) == ("noc@example.com", "[OP-1042] ticket.created: VPN fails")


async def test_an_entry_of_the_address_book_must_make_sense(notify: Notify) -> None:
    """An agent needs a mail address and a time zone that exist; what was put is what is listed."""
    anna = {"name": "Anna", "email": "anna@desk.example", "time_zone": "Europe/Moscow", "groups": ["Network"]}
    async with notify(roles=frozenset({"serve"})) as post:
        client = post.client
        for wrong in ({"email": "nobody"}, {"email": "a@b\r\nBcc: c@d"}, {"time_zone": "Mars/Base"}, {"phone": "1"}):
            assert (await client.put("/v1/agents/anna", json=anna | wrong)).status_code == 422
        assert (await client.put("/v1/agents/anna", json=anna)).status_code == 200
        listed = (await client.get("/v1/agents")).json()["items"]
    assert listed == [anna | {"agent_id": "anna", "language": "en"}]
