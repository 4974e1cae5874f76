"""How a command ends when it cannot do what was asked: one line, the command to run next, an exit code."""

PROBLEMS_FOUND = 1
"""The command did its work and found something wrong: an invariant violated, a line malformed, a check failed."""
UNUSABLE_INPUT = 2
"""Wrong usage, or a file that is not what was named."""
NOT_RUNNING = 3
"""No platform runs there, or it does not answer."""
NOT_STARTED = 4
"""The platform could not be started."""


class CommandError(Exception):
    """A command cannot go on. `next_command` is what the reader may run to get further."""

    def __init__(self, message: str, *, next_command: str | None = None, exit_code: int = PROBLEMS_FOUND) -> None:
        super().__init__(message)
        self.message = message
        self.next_command = next_command
        self.exit_code = exit_code


class NotRunningError(CommandError):
    """No platform runs in the directory."""

    def __init__(self, directory: object) -> None:
        super().__init__(
            f"no platform runs in {directory}",
            next_command=f"opora up --detach --directory {directory}",
            exit_code=NOT_RUNNING,
        )


class StillStartingError(CommandError):
    """A platform was started in the directory and is not ready yet."""

    def __init__(self, directory: object) -> None:
        super().__init__(
            f"the platform in {directory} is still starting",
            next_command=f"opora status --directory {directory}",
            exit_code=NOT_RUNNING,
        )


class AlreadyRunningError(CommandError):
    """Another platform has the directory."""

    def __init__(self, directory: object, pid: int | None) -> None:
        super().__init__(
            f"a platform runs in {directory} already (process {pid})",
            next_command=f"opora status --directory {directory}",
            exit_code=NOT_STARTED,
        )


class StartError(CommandError):
    """A part of the platform did not come up."""

    def __init__(self, part: str, reason: str, log_path: object) -> None:
        super().__init__(f"{part} did not start: {reason}", next_command=f"cat {log_path}", exit_code=NOT_STARTED)
