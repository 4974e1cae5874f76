"""Virtual environments of what the benches compare with: nothing of it comes into ours."""

import subprocess
import sys
from pathlib import Path


def install(place: Path, requirements: Path) -> Path:
    """A venv with these packages; returns where its programs are. Raises CalledProcessError when they cannot be had."""
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([str(uv), "venv", "-q", "--python", sys.executable, str(place)], check=True)
    python = place / "bin" / "python"
    subprocess.run([str(uv), "pip", "install", "-q", "--python", str(python), "-r", str(requirements)], check=True)
    return place / "bin"
