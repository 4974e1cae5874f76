"""Why a mailbox cannot be read."""


class MailboxError(Exception):
    """The mailbox cannot be read now; the message says why, in the server's words where it gave some."""


class MailboxRefusedError(MailboxError):
    """The server does not let us in, or has no such folder: somebody must change something."""
