"""Each safeguard of the delivery core, taken out alone: the harness turns red and names what is broken by it."""

import sys
import time
from pathlib import Path

import pytest

from opora_cli.chaos.plan import CREWS
from opora_cli.chaos.run import Options, play
from tests.faults.sabotage import SWITCHES

RUNNER = str(Path(__file__).with_name("sabotage.py"))
MOST_SECONDS = 180.0

EXPECTED: dict[str, tuple[tuple[str, ...], int, set[str]]] = {
    "skip_sequence_guard": (("redelivered",), 1, {"I6", "I11"}),
    "skip_inbox": (("quiet",), 1, {"I2", "I6", "I11"}),
    "publish_before_commit": (("failpoints",), 1, {"I3", "I4"}),
    "timers_by_wall_clock": (("consumer-suspended",), 1, {"I7"}),
    "relay_by_last_id": (("slow", "slow"), 2, {"I4", "I12"}),
    "acknowledge_before_effect": (("failpoints",), 1, {"I1", "I5"}),
    "no_row_lock": (("database", "mail"), 1, {"I8"}),
    "ledger_without_key": (("guards-lost",), 1, {"I6", "I8"}),
    "timers_by_local_clock": (("quiet",), 1, {"I7"}),
    "no_parking": (("poison",), 1, {"I11"}),
    "swallow_an_error": (("cut",), 16, {"I1", "I5"}),
    "begin_at_latest": (("positions-lost",), 1, {"I1", "I5"}),
}
"""By switch: the rounds that need the safeguard, their seed, and the invariants that it keeps.

Where one round may just go well without the safeguard, it is played twice. The seed of `cut` is one by which sla and
notify lose their databases while intake keeps publishing.
"""


def test_each_switch_has_its_row() -> None:
    """No switch is forgotten."""
    assert EXPECTED.keys() == SWITCHES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("switch", EXPECTED)
async def test_the_harness_notices(switch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Within three minutes the run is red, by an invariant that the safeguard is there for."""
    rounds, seed, invariants = EXPECTED[switch]
    options = Options(rounds, seed, CREWS, rest_seconds=20, rebuild=False, runner=(RUNNER, switch))
    began = time.monotonic()
    verdicts = await play(tmp_path, options, say=lambda _line: None)
    seconds = time.monotonic() - began
    violated = {
        finding.id: finding.violations for verdict in verdicts for finding in verdict.findings if not finding.holds
    }
    with capsys.disabled():
        sys.stdout.write(f"\n{switch:28} {seconds:5.0f} s  red: {', '.join(sorted(violated)) or 'nothing'}\n")
    assert violated.keys() & invariants, violated
    assert seconds < MOST_SECONDS
