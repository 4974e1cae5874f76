"""What a restored platform needs beside its databases so that nobody notices: the secrets that others hold a part of.

The secret that signs survey links (letters that lie in mailboxes hold links made with it), the keys that services call
each other with, and the operator's API key. Passwords of databases are not among them: a platform makes its own.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from opora_cli.endpoints import Endpoints, write_private
from opora_cli.errors import CommandError

FILE = "secrets.json"
_SIGNING = "OPORA_SIGNING_SECRET"
_INTERNAL = {"notify_intake_key": "OPORA_NOTIFY_INTAKE_KEY", "notify_feedback_key": "OPORA_NOTIFY_FEEDBACK_KEY"}


@dataclass(frozen=True, slots=True)
class KeptSecrets:
    """The secrets as far as they are known; empty where they are not."""

    signing_secret: str = ""
    internal_keys: dict[str, str] = field(default_factory=dict)
    api_key: str = ""


def secrets_of_platform(endpoints: Endpoints, directory: Path) -> KeptSecrets:
    """From the platform's directory, or from the environment for one that something else runs."""
    try:
        api_key = endpoints.api_key
    except (CommandError, OSError):
        api_key = ""
    path = directory / FILE
    if endpoints.supervisor_pid is not None and path.exists():
        kept = json.loads(path.read_text())
        return KeptSecrets(kept["signing_secret"], kept["internal_keys"], api_key)
    given = {name: os.environ[variable] for name, variable in _INTERNAL.items() if os.environ.get(variable)}
    return KeptSecrets(os.environ.get(_SIGNING, ""), given, api_key)


def write_secrets(directory: Path, kept: KeptSecrets) -> None:
    """Into the backup, readable by its owner only."""
    document = {
        "signing_secret": kept.signing_secret,
        "internal_keys": kept.internal_keys,
        "api_key": kept.api_key,
    }
    write_private(directory / FILE, json.dumps(document, indent=2) + "\n")


def read_secrets(directory: Path) -> KeptSecrets:
    """From a backup that has them."""
    return KeptSecrets(**json.loads((directory / FILE).read_text()))


def give_secrets(kept: KeptSecrets, directory: Path) -> None:
    """To a platform's own directory, which has none yet; what is missing is made when it starts."""
    own = {"internal_keys": kept.internal_keys, "signing_secret": kept.signing_secret}
    write_private(directory / FILE, json.dumps(own, indent=2) + "\n")
    if kept.api_key:
        write_private(directory / "api-key", kept.api_key + "\n")


def is_signing(kept: KeptSecrets) -> bool:
    """Whether the platform that something else runs verifies the links that the backed-up one signed."""
    return kept.signing_secret in [secret.strip() for secret in os.environ.get(_SIGNING, "").split(",")]
