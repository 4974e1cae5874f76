"""The decisions of set-up, without its side effects."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from scripts.tests.loading import ROOT, load

setup = load("setup")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the files that set-up looks at."""
    for member in setup.members(ROOT):
        folder = tmp_path / member.relative_to(ROOT)
        folder.mkdir(parents=True)
        shutil.copy(member / "pyproject.toml", folder)
    (tmp_path / "scripts").mkdir()
    for name in ("pyproject.toml", "requirements.lock", "scripts/bootstrap.lock", "scripts/setup.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def ready(checkout: Path) -> Path:
    """A checkout whose set-up has ended well."""
    environment = setup.Environment(checkout)
    environment.python.parent.mkdir(parents=True)
    environment.python.touch()
    (environment.directory / "bin" / "opora").touch()
    jar = checkout / "kafka.jar"
    jar.touch()
    python = setup.python_identity()
    environment.stamp.write_text(
        json.dumps(
            {
                "digest": setup.digest(checkout, python),
                "python": python,
                "root": str(checkout),
                "jars": [str(jar)],
            }
        )
    )
    return checkout


def test_an_old_python_is_told_what_to_do() -> None:
    """A Python below 3.11 gets a message with its version, its path and the setting that names another one."""
    message = setup.version_problem((3, 9), "/usr/bin/python3")
    assert message == (
        "Opora needs Python 3.11 or newer, but /usr/bin/python3 is 3.9.\n"
        "  name a newer one: make setup PYTHON=/path/to/python3.11"
    )
    assert setup.version_problem((3, 11), "python3") is None
    assert setup.version_problem((3, 14), "python3") is None


def test_a_finished_set_up_is_ready(ready: Path) -> None:
    """With a matching stamp, the command, the interpreter and the jars in place, nothing is to be done."""
    assert setup.Environment(ready).is_ready()


@pytest.mark.parametrize(
    "changed", ["requirements.lock", "scripts/bootstrap.lock", "pyproject.toml", "services/sla/pyproject.toml"]
)
def test_a_changed_lock_or_member_is_set_up_again_in_place(ready: Path, changed: str) -> None:
    """A change of what gets installed makes the stamp stale, but the venv is kept."""
    with (ready / changed).open("a") as file:
        file.write("# changed\n")
    assert not setup.Environment(ready).is_ready()
    assert setup.Environment(ready).belongs_to_this_python()


@pytest.mark.parametrize("missing", [".venv/bin/opora", ".venv/bin/python", "kafka.jar", ".venv/opora-setup.json"])
def test_what_is_missing_is_noticed(ready: Path, missing: str) -> None:
    """A stamp does not hide that the command, the interpreter or a jar is gone."""
    (ready / missing).unlink()
    assert not setup.Environment(ready).is_ready()


def test_an_interrupted_set_up_starts_anew(ready: Path) -> None:
    """Without the stamp of a finished set-up the venv is not trusted."""
    environment = setup.Environment(ready)
    environment.unfinished()
    assert not environment.is_ready()
    assert not environment.belongs_to_this_python()


def test_a_venv_of_another_python_or_place_is_rebuilt(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another interpreter, or a checkout that was moved, makes the venv worthless."""
    moved = ready.parent / "moved"
    shutil.copytree(ready, moved)
    assert not setup.Environment(moved).belongs_to_this_python()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert not setup.Environment(ready).is_ready()
    assert not setup.Environment(ready).belongs_to_this_python()


def test_packages_that_no_lock_names_are_removed() -> None:
    """Only packages outside the locks go; members, pip and differently spelled names stay."""
    lock = "# note\nTyping_Extensions==4.1 \\\n    --hash=sha256:00\nuvicorn[standard]==1.0\n"
    installed = ["typing-extensions", "uvicorn", "left.over", "pip", "opora-sla"]
    assert setup.superfluous(installed, [lock], ["opora_sla"]) == ["left-over"]


def test_uv_follows_the_settings_of_pip() -> None:
    """Index, certificates and proxy of pip reach uv, the environment before the file, uv's own settings before all."""
    listing = (
        "global.index-url='https://index.example/simple'\n"
        "global.cert='/file.pem'\n"
        ":env:.cert='/environment.pem'\n"
        "install.proxy='http://proxy.example:3128'\n"
        "freeze.timeout='10'\n"
    )
    assert setup.uv_settings(setup.parse_pip_settings(listing), {"HTTP_PROXY": "http://mine.example"}) == {
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "SSL_CERT_FILE": "/environment.pem",
        "HTTPS_PROXY": "http://proxy.example:3128",
    }


def test_every_target_of_the_makefile_is_explained() -> None:
    """`make help` lists each phony target, so that none is hidden."""
    makefile = (ROOT / "Makefile").read_text()
    phony = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    assert [name for name, _ in load("make_help").targets(makefile)] == phony
