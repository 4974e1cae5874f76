"""A real IMAP server (Dovecot) on loopback, with accounts that a test fills and changes as mail clients do."""

import grp
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from opora_intake.channels.mailbox import Mailbox
from services.intake.tests.mailroom import SUPPORT, free_ports
from tests.programs import program

PASSWORD = "a-password-of-the-tests"
_CONFIGURATION = """
protocols = imap
listen = 127.0.0.1
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
ssl = yes
ssl_cert = <{directory}/cert.pem
ssl_key = <{directory}/key.pem
disable_plaintext_auth = no
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
mail_location = maildir:{directory}/mail/%u
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
auth_failure_delay = 0
auth_mechanisms = plain login xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {directory}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={directory}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  mailbox Done {{
    auto = create
  }}
}}
"""


_TOKENS = """
introspection_mode = post
introspection_url = {introspection_url}
username_attribute = username
active_attribute = active
active_value = true
"""


class ImapServer:
    """Dovecot on ports and in a directory of its own. Everybody's password is `PASSWORD`.

    Access tokens are asked about at `introspection_url` (RFC 7662).
    """

    def __init__(self, directory: Path, introspection_url: str) -> None:
        self._program = program("dovecot", "dovecot-imapd")
        self.directory = directory
        self.port, self.tls_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        user = pwd.getpwnam("dovenull") if os.geteuid() == 0 else pwd.getpwuid(os.getuid())
        mail = directory / "mail"
        mail.mkdir()
        _make_certificate(directory)
        if os.geteuid() == 0:
            # The server's own account must reach its mail.
            directory.chmod(0o711)
            shutil.chown(mail, user.pw_uid, user.pw_gid)
        (directory / "oauth2.conf").write_text(_TOKENS.format(introspection_url=introspection_url))
        self._configuration = directory / "dovecot.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(
                directory=directory,
                user=user.pw_name,
                group=grp.getgrgid(user.pw_gid).gr_name,
                password=PASSWORD,
                port=self.port,
                tls_port=self.tls_port,
            )
        )

    def start(self) -> None:
        """Returns when it lets people in."""
        with (self.directory / "dovecot.out").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-F", "-c", self._configuration], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.account("postmaster"):
                    return
            except (OSError, IMAPClientError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = [(self.directory / name) for name in ("dovecot.out", "dovecot.log")]
                    raise AssertionError("\n".join(path.read_text() for path in said if path.exists())) from None
                time.sleep(0.05)  # there is nothing else to wait on

    def stop(self) -> None:
        """Returns when it and the processes of its connections have ended; its mail stays."""
        if self._process is not None:
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._process.terminate()
            self._process.wait(30)
            self._process = None
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.terminate()
            _, left = psutil.wait_procs(children, timeout=30)
            assert left == []

    def drop_connections(self) -> None:
        """Every connection breaks; new ones are let in."""
        assert self._process is not None
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.name() == "imap":
                    child.kill()

    def mailbox(self, user: str, **fields: object) -> Mailbox:
        """The account as intake's settings describe it; polled often."""
        given = {
            "name": user,
            "address": SUPPORT,
            "host": "127.0.0.1",
            "port": self.port,
            "security": "none",
            "user": user,
            "password": PASSWORD,
            "poll_seconds": 0.1,
        } | fields
        return Mailbox.model_validate(given)

    @contextmanager
    def account(self, user: str, folder: str = "INBOX") -> Iterator[IMAPClient]:
        """The account as its owner's mail client has it open."""
        with IMAPClient("127.0.0.1", self.port, ssl=False, timeout=30) as client:
            client.login(user, PASSWORD)
            client.select_folder(folder)
            yield client

    def put(self, user: str, *letters: bytes, seen: bool = False) -> None:
        """Letters arrive in the account."""
        with self.account(user) as client:
            for raw in letters:
                client.append("INBOX", raw, flags=[rb"\Seen"] if seen else [])

    def flags(self, user: str, folder: str = "INBOX") -> list[tuple[bytes, ...]]:
        """The flags of the folder's messages, in their order."""
        with self.account(user, folder) as client:
            told = client.get_flags(client.search("ALL"))
            return [tuple(flag for flag in told[uid] if flag != rb"\Recent") for uid in sorted(told)]

    def number_anew(self, user: str) -> None:
        """The server loses its list of UIDs: UIDVALIDITY changes, the messages stay."""
        before = self.uid_validity(user)
        while self.uid_validity(user) == before:
            # It is made of the time in seconds.
            for path in (self.directory / "mail" / user).glob("dovecot*"):
                path.unlink()

    def uid_validity(self, user: str) -> int:
        """What the server's UIDs mean something beside."""
        with self.account(user) as client:
            told: int = client.folder_status("INBOX", ["UIDVALIDITY"])[b"UIDVALIDITY"]
            return told


def _make_certificate(directory: Path) -> None:
    subprocess.run(
        [
            program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip


@contextmanager
def imap_server(introspection_url: str = "http://127.0.0.1:1/introspect") -> Iterator[ImapServer]:
    """A server at work. Its directory is not below pytest's, which another run closes to the server's own account."""
    with tempfile.TemporaryDirectory(prefix="opora-imap-") as directory:
        server = ImapServer(Path(directory), introspection_url)
        server.start()
        try:
            yield server
        finally:
            server.stop()
