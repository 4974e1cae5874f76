"""`opora mail-sink`."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from opora_cli.console import say


def mail_sink(
    mail: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where each message becomes a file.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port to listen on.")] = 2525,
) -> None:
    """A mail server that delivers to nobody, for demonstrations and tests; runs until SIGTERM or Ctrl-C."""
    from opora_cli.mail_sink import MailSink

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    sink = MailSink(mail, host=host, port=port)
    sink.start()
    say(f"mail to {sink.address} becomes files in {mail}")
    ended.wait()
    sink.stop()
