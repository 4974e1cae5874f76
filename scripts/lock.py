"""Refresh the committed locks: the newest versions that the members' bounds allow, with hashes, without addresses."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = str(ROOT / ".venv" / "bin" / "uv")
PACKAGES = [f"--package=opora-{name}" for name in ("cli", "intake", "sla", "notify", "feedback")]


def main() -> int:
    """Returns the exit code of the first command that failed, or 0."""
    commands = (
        [UV, "lock", "--upgrade"],
        # uv.lock names the addresses of one index and stays local; this export is what is committed.
        [UV, "export", "-q", "--frozen", "--all-packages", "--all-groups", "--no-emit-workspace", "--no-header",
         "--format", "requirements-txt", "-o", "requirements.lock"],
        # What the images hold: every service and the command, without the embedded servers and the tests' tools.
        [UV, "export", "-q", "--frozen", "--no-dev", *PACKAGES, "--prune", "opora-embedded", "--no-emit-workspace",
         "--no-header", "--format", "requirements-txt", "-o", "deploy/requirements.lock"],
        [UV, "pip", "compile", "-q", "--upgrade", "--generate-hashes", "--no-header", "--universal",
         "--python-version", "3.11", "-c", "requirements.lock", "-o", "scripts/bootstrap.lock",
         "scripts/bootstrap.in"],
    )  # fmt: skip
    for command in commands:
        print(" ".join(["uv", *command[1:]]), flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
