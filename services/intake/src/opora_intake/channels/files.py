"""What looks after the files of tickets."""

from functools import partial

from opora_chassis.platform import Platform
from opora_chassis.service import Loop
from opora_intake.handlers.attachments import Files, look_after_files


def file_loops(platform: Platform, files: Files | None) -> tuple[Loop, ...]:
    """What the role `timers` runs where files are kept."""
    if files is None:
        return ()
    return (Loop("look_after_files", partial(look_after_files, files=files, database=platform.database)),)
