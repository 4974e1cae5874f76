"""Write `.env` for docker-compose.yml: what .env.example describes, with a fresh secret for every `<generated …>`.

An existing `.env` keeps its values; what it lacks is added, so that a newer release's settings arrive.
"""

import base64
import re
import secrets
import string
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_ASSIGNMENT = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$")
_TOKEN_ALPHABET = string.ascii_letters + string.digits

GENERATORS: Mapping[str, Callable[[], str]] = {
    "<generated password>": lambda: secrets.token_hex(24),
    "<generated key>": lambda: "opk_" + "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(43)),
    # Kafka's own form of an id, 22 characters; a leading dash would look like an option to its tools.
    "<generated id>": lambda: "o" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22],
}


def environment(example: str, existing: str) -> str:
    """The text of `.env`: the existing one, or the example; secrets that are still missing are made."""
    known = {match[1] for match in map(_ASSIGNMENT.match, existing.splitlines()) if match}
    lines = existing.splitlines()
    for line in example.splitlines():
        match = _ASSIGNMENT.match(line)
        if match is None:
            lines += [] if existing else [line]
        elif match[1] not in known:
            generate = GENERATORS.get(match[2])
            lines.append(f"{match[1]}={generate() if generate else match[2]}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the file, readable by its owner only. Returns 0."""
    path = ROOT / ".env"
    existing = path.read_text() if path.exists() else ""
    text = environment((ROOT / ".env.example").read_text(), existing)
    if text == existing:
        print(".env is complete; it was left as it is")
        return 0
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
    print(f".env {'was completed' if existing else 'was written'}: fresh secrets, readable by you only")
    return 0


if __name__ == "__main__":
    sys.exit(main())
