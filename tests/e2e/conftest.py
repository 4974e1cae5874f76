"""One whole platform for all tests that only need a running one, and the mails that it sends."""

from collections.abc import AsyncIterator, Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
import pytest_asyncio

from opora_cli.mail_sink import MailSink
from opora_embedded.testing import KafkaServer
from tests.e2e.stack import Databases, Stack, running_stack

PROCESSES = ("intake all", "sla all", "notify all", "feedback all")


@pytest.fixture(scope="session")
def mail_sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailSink]:
    """A mail server that keeps what it is given."""
    sink = MailSink(tmp_path_factory.mktemp("mail"))
    sink.start()
    yield sink
    sink.stop()


@pytest.fixture(scope="session")
def mails_to(mail_sink: MailSink) -> Callable[[str], list[EmailMessage]]:
    """Finds the mails that were delivered to an address, in the order of their arrival."""

    def find(address: str) -> list[EmailMessage]:
        paths = sorted(mail_sink.directory.glob("*.eml"))
        letters = [message_from_bytes(path.read_bytes(), EmailMessage, policy=default) for path in paths]
        return [letter for letter in letters if letter["To"].addresses[0].addr_spec == address]

    return find


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(
    kafka: KafkaServer, databases: Databases, mail_sink: MailSink, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """All four services. Tests keep apart by tickets and customers of their own, and break nothing."""
    directory = tmp_path_factory.mktemp("platform")
    async with running_stack(directory, kafka, databases, PROCESSES, smtp=mail_sink.address) as stack:
        yield stack
