"""The process that reads letters: `python -m opora_intake.mail.worker`, started by `confined` and never by hand.

It limits itself before it sees the first byte, says that it is ready, and then answers each letter with one frame: what
it is, or, where keys come with it, who signed it. It ends with its input. It opens no file and no connection, and knows
no secret: its environment was emptied.
"""

import json
import os
import resource
import sys
from typing import BinaryIO

from opora_intake.mail.letter import Reading, Unreadable
from opora_intake.mail.limits import MOST_CPU_SECONDS, MOST_MEMORY_BYTES, Reason
from opora_intake.mail.reading import read_letter
from opora_intake.mail.signatures import signed_by
from opora_intake.mail.wire import PREFIX, frame, frame_lengths, frame_of, signed_frame


def main(cpu_seconds: int = MOST_CPU_SECONDS) -> int:
    """Read letters, each with so many seconds of a processor. Returns 0 at the end of the input, 3 after a letter that
    needed more memory than there is.
    """
    _confine()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _say(sink, frame({"ready": True}))
    # What hinders the start is said to the operator; what a letter makes a library say may be the letter.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    while prefix := source.read(PREFIX.size):
        document_length, content_length = frame_lengths(prefix)
        asked = json.loads(source.read(document_length))
        raw = source.read(content_length)
        _allow_cpu_seconds(cpu_seconds)
        try:
            if "keys" in asked:
                answer = signed_frame(signed_by(raw, asked["keys"]))
            else:
                answer = frame_of(read_letter(raw, **asked))
        except MemoryError:
            del raw
            _say(sink, frame_of(Unreadable(Reason.TOO_MUCH_MEMORY)))
            return 3
        except Exception as error:  # noqa: BLE001  a letter that finds a fault of ours is kept, and shown to somebody
            answer = frame_of(_fault(error))
        _say(sink, answer)
    return 0


def _fault(error: Exception) -> Reading:
    """What is told of a fault: its type and its place, nothing of the letter."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {place.tb_frame.f_code.co_name}, line {place.tb_lineno}" if place else ""
    return Unreadable(Reason.READER_BROKE, f"{type(error).__name__}{where}")


def _say(sink: BinaryIO, answer: bytes) -> None:
    sink.write(answer)
    sink.flush()


def _confine() -> None:
    """Take away what reading a letter does not need. Raises when the system refuses: unlimited it must not read."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def _allow_cpu_seconds(seconds: int) -> None:
    """Let this process use so many more seconds of a processor, and less than one more, because the kernel counts whole
    seconds; then it ends the process (SIGXCPU).
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


if __name__ == "__main__":
    sys.exit(main())
