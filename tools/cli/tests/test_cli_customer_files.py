"""Files of customers as the command reads them, before anything is sent."""

from pathlib import Path

import pytest

from opora_cli.customer_files import PIECE_BYTES, checked_file
from opora_cli.errors import CommandError


@pytest.mark.parametrize(("mark", "begin"), [(b"", 0), (b"\xef\xbb\xbf", 3)])
def test_utf_8_is_read_with_and_without_byte_order_mark(tmp_path: Path, mark: bytes, begin: int) -> None:
    """The text begins behind the mark, also where a character lies across two pieces."""
    path = tmp_path / "customers.csv"
    text = b"name,emails\n" + "Ä".encode() * PIECE_BYTES
    path.write_bytes(mark + text)
    found = checked_file(path)
    assert (found.begin, found.size) == (begin, len(text))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,emails\nA,a@example.com\n\xc4,b@example.com\n", "customers.csv:3: byte 28 is no UTF-8"),
        (b"x" * (PIECE_BYTES - 1) + b"\xc3" + b"A\n", f"byte {PIECE_BYTES - 1} is no UTF-8"),
        ("name".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (b"name\n\xc3", "ends within a character"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
    ],
)
def test_what_is_no_utf_8_is_refused_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    """Before anything is sent: the line, the byte and what to do; exit code 2."""
    path = tmp_path / "customers.csv"
    path.write_bytes(content)
    with pytest.raises(CommandError) as refused:
        checked_file(path)
    assert said in refused.value.message
    assert refused.value.exit_code == 2
