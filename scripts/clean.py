"""Remove what set-up and the tools made. Data of `make up` (`.opora`) and the user's caches stay."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE = (".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache", "dist", "build")


def main() -> None:
    """Remove the folders of `MADE` and every compiled module."""
    for name in MADE:
        shutil.rmtree(ROOT / name, ignore_errors=True)
    for cache in list(ROOT.rglob("__pycache__")):
        shutil.rmtree(cache, ignore_errors=True)
    print("removed .venv and the tools' caches; data of `make up` stays in .opora")


if __name__ == "__main__":
    main()
