"""`python -m deploy.grafana` writes every dashboard's JSON beside this file; `--check` says which would change."""

import sys
from pathlib import Path

from deploy.grafana.boards import BOARDS
from deploy.grafana.panels import board_json

DASHBOARDS = Path(__file__).parent / "dashboards"


def changes() -> dict[Path, str | None]:
    """What the files are to become; None for one that is no dashboard any more."""
    wanted = {DASHBOARDS / f"{board.name}.json": board_json(board) for board in BOARDS}
    there = {path: path.read_text("utf-8") for path in DASHBOARDS.glob("*.json")}
    changed: dict[Path, str | None] = {path: text for path, text in wanted.items() if there.get(path) != text}
    return changed | dict.fromkeys(there.keys() - wanted.keys())


def main() -> int:
    """Write or check. Returns 1 when a check finds a difference."""
    changed = changes()
    for path, text in changed.items():
        print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
        if "--check" in sys.argv[1:]:
            continue
        if text is None:
            path.unlink()
        else:
            path.write_text(text, "utf-8")
    return int(bool(changed) and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
