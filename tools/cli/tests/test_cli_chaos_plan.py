"""The plan of a run: data drawn from a seed, about things that exist."""

import pytest
from typer.testing import CliRunner

from opora_cli.chaos.failpoints import POINTS
from opora_cli.chaos.nemesis import FAULTS
from opora_cli.chaos.plan import CREWS, FULL, LINKS, ROUNDS, SHORT, Fault, draw, processes
from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_cli.main import app
from opora_cli.stack import Crew

SEEDS = range(20)
SERVICES = {"intake", "sla", "notify", "feedback"}
SERVERS = {"kafka", "postgres", "smtp", "webhook"}


def test_a_seed_gives_one_plan() -> None:
    """The same seed gives the same faults, another gives others."""
    assert draw(FULL, 7, CREWS) == draw(FULL, 7, CREWS)
    assert draw(FULL, 7, CREWS) != draw(FULL, 8, CREWS)


def test_a_round_alone_is_the_round_of_a_longer_plan() -> None:
    """A round that failed within a full run can be run again by itself."""
    alone = draw(["broker"], 7, CREWS)
    assert alone[0] in draw(SHORT, 7, CREWS)


@pytest.mark.parametrize("name", ROUNDS)
def test_faults_are_possible(name: str) -> None:
    """Each fault is of a known kind, about a process, server or link that there is, and over within its round."""
    names = {process for crew in CREWS for process in crew.names}
    for seed in SEEDS:
        (of,) = draw([name], seed, CREWS)
        for fault in of.faults:
            assert fault.kind in FAULTS
            assert fault.target in {"", *names, *SERVICES, *SERVERS, *LINKS}
            assert fault.at_seconds + fault.seconds <= of.seconds, str(fault)
            assert fault.options.get("point") in {None, *POINTS}


def test_work_that_is_shared_has_several_processes() -> None:
    """Two that serve intake, three consumers of sla, two relays of intake, two timers of sla and notify."""
    assert len(processes(CREWS, "serve", "intake")) == 2
    assert len(processes(CREWS, "consume", "sla")) == 3
    assert len(processes(CREWS, "relay", "intake")) == 2
    assert len(processes(CREWS, "timers", "sla")) == 2
    assert len(processes(CREWS, "timers", "notify")) == 2


def test_a_crew_names_its_processes() -> None:
    """By service and roles, with a number where there are several."""
    assert Crew("feedback", ("all",)).names == ("feedback",)
    assert Crew("sla", ("serve", "relay")).names == ("sla-serve-relay",)
    assert Crew("sla", ("consume",), 2).names == ("sla-consume-1", "sla-consume-2")


def test_a_fault_says_what_it_is() -> None:
    """As a report names it."""
    assert str(Fault("suspend", "sla-consume-1", 2, 14)) == "suspend sla-consume-1 at 2.0 s for 14.0 s"
    assert str(Fault("kill_all", at_seconds=3)) == "kill_all at 3.0 s"


def test_rounds_are_listed() -> None:
    """`--list` says what each breaks."""
    listed = CliRunner().invoke(app, ["chaos", "--list"])
    assert listed.exit_code == 0
    assert "half-open" in listed.output
    assert "One direction of a connection vanishes." in listed.output


def test_an_unknown_round_is_refused() -> None:
    """With the command that lists those there are."""
    ended = CliRunner().invoke(app, ["chaos", "earthquake"])
    assert isinstance(ended.exception, CommandError)
    assert ended.exception.exit_code == UNUSABLE_INPUT
    assert "earthquake" in ended.exception.message
    assert ended.exception.next_command == "opora chaos --list"
