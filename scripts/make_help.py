"""Print the targets of the Makefile with their explanations (`target: … ## explanation`)."""

import re
import sys
from pathlib import Path

TARGET = re.compile(r"^([a-z-]+):[^#]*## (.+)$")


def targets(makefile: str) -> list[tuple[str, str]]:
    """Name and explanation of each documented target, in the file's order."""
    return [(match[1], match[2]) for match in map(TARGET.match, makefile.splitlines()) if match]


def main(path: str) -> None:
    """Print one line a target."""
    found = targets(Path(path).read_text())
    width = max(len(name) for name, _ in found)
    print("Opora needs Python >= 3.11 and make; the first target you call sets everything else up.\n")
    for name, explanation in found:
        print(f"  make {name.ljust(width)}  {explanation}")
    print("\nPYTHON=… chooses the Python, ARGS=… is passed on, e.g. make test ARGS='-k relay'")


if __name__ == "__main__":
    main(sys.argv[1])
