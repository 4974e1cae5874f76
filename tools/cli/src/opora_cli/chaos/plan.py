"""What is broken, when and for how long: data, drawn from one seed. Pure.

A run is a sequence of rounds on one platform under one load. Each round breaks something, heals it, and waits until the
platform has come to rest; then everything that was ever promised is checked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from opora_cli.stack import Crew

CREWS = (
    Crew("intake", ("serve", "consume"), 2),
    Crew("intake", ("relay",), 2),
    Crew("sla", ("serve", "relay")),
    Crew("sla", ("consume",), 3),
    Crew("sla", ("timers",), 2),
    Crew("notify", ("serve", "consume", "relay", "timers"), 2),
    Crew("feedback", ("all",)),
)
"""Several processes of each role that shares work, as few as a small machine starts in half a minute."""

_MONKEY_SECONDS = 50.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is broken. Seconds count from the beginning of its round."""

    kind: str
    """A name in `nemesis.FAULTS`."""
    target: str = ""
    """Process, server or link."""
    at_seconds: float = 0.0
    seconds: float = 0.0
    """How long it stays broken before it is healed; 0 for what is over at once."""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind} {self.target}".strip() + f" at {self.at_seconds:.1f} s{lasting}"


@dataclass(frozen=True, slots=True)
class Round:
    """Faults that belong together."""

    name: str
    faults: tuple[Fault, ...]
    seconds: float
    """How long the load goes on before the heal; every fault ends by then."""


def processes(crews: Sequence[Crew], role: str, service: str | None = None) -> list[str]:
    """The names of the processes that have this role."""
    return [
        name
        for crew in crews
        if (role in crew.roles or crew.roles == ("all",)) and service in {None, crew.service}
        for name in crew.names
    ]


def quiet(_random: Random, _crews: Sequence[Crew]) -> Round:
    """Nothing breaks: what fails here is no matter of faults."""
    return Round("nothing", (), 10)


def kill_each_role(random: Random, crews: Sequence[Crew]) -> Round:
    """One process of each role of each service, in any order."""
    victims = [random.choice(crew.names) for crew in crews]
    random.shuffle(victims)
    faults = tuple(Fault("kill", victim, at_seconds=1 + 1.5 * place) for place, victim in enumerate(victims))
    return Round("kill -9 of each role", faults, 3 + 1.5 * len(victims))


def failpoints(random: Random, crews: Sequence[Crew]) -> Round:
    """Processes kill themselves where it is hardest to get over."""
    one, other = random.sample(processes(crews, "consume", "sla"), k=2)
    faults = (
        Fault("failpoint", processes(crews, "serve", "intake")[0], 1, 8, {"point": "before_commit"}),
        Fault("failpoint", processes(crews, "serve", "intake")[-1], 1, 8, {"point": "after_commit"}),
        Fault("failpoint", one, 4, 8, {"point": "before_commit"}),
        Fault("failpoint", other, 6, 8, {"point": "after_commit"}),
        Fault("failpoint", random.choice(processes(crews, "relay", "intake")), 7, 8, {"point": "after_publish"}),
        Fault("failpoint", random.choice(processes(crews, "timers", "notify")), 10, 10, {"point": "before_ledger"}),
    )
    return Round("kill -9 at failpoints", faults, 24)


def kill_all(_random: Random, _crews: Sequence[Crew]) -> Round:
    """Every process of every service at once."""
    return Round("kill -9 of all services at once", (Fault("kill_all", at_seconds=3),), 8)


def kill_servers(_random: Random, _crews: Sequence[Crew]) -> Round:
    """A power cut that takes broker and database."""
    faults = (Fault("kill_server", "kafka", 3, 4), Fault("kill_server", "postgres", 3, 2))
    return Round("kill -9 of broker and database at once", faults, 12)


def broker_away(random: Random, _crews: Sequence[Crew]) -> Round:
    """The broker is killed and gone for 2 to 20 s."""
    return Round("broker killed, away", (Fault("kill_server", "kafka", 3, random.uniform(2, 20)),), 26)


def broker_long_away(_random: Random, _crews: Sequence[Crew]) -> Round:
    """Three minutes without a broker: intake goes on taking requests."""
    return Round("broker away for 3 minutes", (Fault("kill_server", "kafka", 3, 180),), 190)


def database_away(random: Random, _crews: Sequence[Crew]) -> Round:
    """PostgreSQL is killed and gone for some seconds."""
    return Round("PostgreSQL killed, away", (Fault("kill_server", "postgres", 3, random.uniform(1, 8)),), 14)


def database_monkey(random: Random, _crews: Sequence[Crew]) -> Round:
    """PostgreSQL is killed every 5 to 20 s."""
    faults, at = [], 2.0
    while at < _MONKEY_SECONDS:
        faults.append(Fault("kill_server", "postgres", at, 0.2))
        at += random.uniform(5, 20)
    return Round("PostgreSQL killed every 5 to 20 s", tuple(faults), at + 3)


def backends_terminated(random: Random, _crews: Sequence[Crew]) -> Round:
    """Single database sessions are terminated, again and again."""
    services = ("intake", "sla", "notify", "feedback")
    faults = tuple(
        Fault("terminate_backend", random.choice(services), 1 + place * random.uniform(0.5, 1)) for place in range(12)
    )
    return Round("single database sessions terminated", faults, 15)


def consumer_suspended(random: Random, crews: Sequence[Crew]) -> Round:
    """A consumer of sla stands still past its session, and returns to partitions that are another's by then."""
    victim = random.choice(processes(crews, "consume", "sla"))
    return Round("a consumer suspended past its session", (Fault("suspend", victim, 2, 14),), 20)


def relay_suspended(random: Random, crews: Sequence[Crew]) -> Round:
    """A relay stands still and keeps its shards' locks: its facts wait, and no breach is false."""
    victim = random.choice(processes(crews, "relay", "intake"))
    return Round("a relay suspended with its locks held", (Fault("suspend", victim, 2, 12),), 18)


def timers_suspended(random: Random, crews: Sequence[Crew]) -> Round:
    """A replica of the timers stands still with what it has claimed."""
    victim = random.choice(processes(crews, "timers", "sla"))
    return Round("timers suspended", (Fault("suspend", victim, 2, 10),), 15)


def clocks_wrong(random: Random, crews: Sequence[Crew]) -> Round:
    """Processes believe that it is an hour earlier or later."""
    victims = [
        random.choice(processes(crews, "timers", "sla")),
        random.choice(processes(crews, "serve", "intake")),
        random.choice(processes(crews, "timers", "notify")),
    ]
    faults = tuple(Fault("clock", victim, 1, 10, {"shift": random.choice(("+1h", "-1h"))}) for victim in victims)
    return Round("clocks of services an hour wrong", faults, 14)


def two_releases(random: Random, crews: Sequence[Crew]) -> Round:
    """One process of each crew runs the release before this one for a while, beside the others."""
    shared = [crew for crew in crews if crew.count > 1]
    faults = tuple(Fault("older", random.choice(crew.names), 1 + 8 * place, 6) for place, crew in enumerate(shared))
    return Round("two releases side by side", faults, 8 * len(faults) + 4)


def redelivered(_random: Random, _crews: Sequence[Crew]) -> Round:
    """Every fact stands on its topic once to five times."""
    return Round("every fact delivered 1 to 5 times", (Fault("redeliver", "", 1, 15),), 20)


def rewound(random: Random, _crews: Sequence[Crew]) -> Round:
    """A service's consumers begin again at offset 0."""
    service = random.choice(("sla", "notify", "feedback"))
    return Round("offsets rewound to 0", (Fault("rewind", service, 3),), 14)


def guards_lost(random: Random, _crews: Sequence[Crew]) -> Round:
    """Offset 0 again, and nothing known of what was applied: the ledger's own key has to do."""
    service = random.choice(("notify", "feedback"))
    return Round("offsets and sequence guards lost", (Fault("rewind", service, 3, 0, {"guards": "lost"}),), 14)


def positions_lost(random: Random, _crews: Sequence[Crew]) -> Round:
    """The broker has forgotten a service's groups, and they begin as new ones while facts keep coming."""
    service = random.choice(("sla", "notify", "feedback"))
    return Round("consumer groups forgotten", (Fault("rewind", service, 3, 0, {"positions": "lost"}),), 14)


def storm(random: Random, crews: Sequence[Crew]) -> Round:
    """Consumers come and go: one is left, then two, then all work again, every 3 s."""
    consumers = processes(crews, "consume", "sla")
    faults: list[Fault] = []
    for turn in range(4):
        away = random.sample(consumers, k=max(1, len(consumers) - 1 - turn % 2))
        faults += [Fault("leave", name, 1 + 6 * turn, 3) for name in away]
    return Round("consumers come and go every 3 s", tuple(faults), 28)


def poison(_random: Random, _crews: Sequence[Crew]) -> Round:
    """Foreign systems publish broken events among good ones."""
    return Round("poison among foreign events", (Fault("poison", "", 0, 12),), 14)


def mail_trouble(random: Random, _crews: Sequence[Crew]) -> Round:
    """The mail server is slow, refuses for the moment, drops connections."""
    return Round(
        "mail server slow, refusing, dropping", _modes(random, "smtp", "slow", "reject_temporarily", "drop"), 20
    )


def webhook_trouble(random: Random, _crews: Sequence[Crew]) -> Round:
    """The webhook's receiver fails and hangs."""
    return Round("webhook receiver failing, hanging", _modes(random, "webhook", "fail", "hang"), 15)


def _modes(random: Random, receiver: str, *modes: str) -> tuple[Fault, ...]:
    """The receiver in each of these modes, one after the other, in any order."""
    shuffled = random.sample(modes, k=len(modes))
    return tuple(Fault(receiver, receiver, 1 + 6 * place, 5, {"mode": mode}) for place, mode in enumerate(shuffled))


def cut_connections(random: Random, _crews: Sequence[Crew]) -> Round:
    """Every second the connections between a service and a server are cut."""
    links = random.sample(LINKS, k=3)
    return Round(
        "connections cut every second",
        tuple(
            Fault("link", link, 1 + 6 * place, 5, {"state": "cut_every", "seconds": 1.0})
            for place, link in enumerate(links)
        ),
        20,
    )


def half_open(random: Random, _crews: Sequence[Crew]) -> Round:
    """One direction of a connection vanishes."""
    link = random.choice(("intake>kafka", "sla>kafka", "sla>postgres"))
    direction = random.choice(("up", "down"))
    return Round(
        "half-open connections", (Fault("link", link, 1, 12, {"state": "black_hole", "direction": direction}),), 16
    )


def slow_links(random: Random, _crews: Sequence[Crew]) -> Round:
    """Latency, and three bytes at a time."""
    link = random.choice(("intake>postgres", "sla>postgres", "notify>smtp"))
    options = {"state": "slow", "latency_seconds": 0.003, "slice_bytes": 3}
    return Round("latency and 3-byte slices", (Fault("link", link, 1, 6, options),), 10)


def cut_after_the_act(random: Random, _crews: Sequence[Crew]) -> Round:
    """The answer is lost after COMMIT, after produce, after the dot that ends a letter."""
    acts = [
        (random.choice(("intake>postgres", "sla>postgres", "notify>postgres", "feedback>postgres")), "commit"),
        ("intake>postgres", "commit"),
        (random.choice(("intake>kafka", "sla>kafka")), "produce"),
        ("notify>smtp", "data_end"),
    ]
    return Round(
        "the answer lost after COMMIT, produce, end of mail",
        tuple(
            Fault("link", link, 1 + 4 * place, 4, {"state": "cut_after", "trigger": trigger, "every": 5})
            for place, (link, trigger) in enumerate(acts)
        ),
        19,
    )


def disks_full(_random: Random, _crews: Sequence[Crew]) -> Round:
    """The database's disk is full, then the broker's. Needs root: each gets a small file system of its own."""
    faults = (Fault("disk_full", "postgres", 3, 6), Fault("disk_full", "kafka", 20, 8))
    return Round("disk of database and of broker full", faults, 45)


def mixture(random: Random, crews: Sequence[Crew], *, seconds: float = 600) -> Round:
    """Three faults at once, drawn anew every 20 s."""
    kinds: list[Callable[[Random, Sequence[Crew]], Round]] = [
        kill_each_role,
        kill_servers,
        broker_away,
        database_away,
        backends_terminated,
        consumer_suspended,
        relay_suspended,
        timers_suspended,
        redelivered,
        storm,
        mail_trouble,
        webhook_trouble,
        cut_connections,
        half_open,
        slow_links,
        cut_after_the_act,
    ]
    faults: list[Fault] = []
    at = 0.0
    while at < seconds:
        for kind in random.sample(kinds, k=3):
            of_kind = kind(random, crews).faults
            one = random.choice(of_kind)
            faults.append(Fault(one.kind, one.target, at + 1 + random.uniform(0, 3), min(one.seconds, 12), one.options))
        at += 20
    return Round("three at once", tuple(sorted(faults, key=lambda fault: fault.at_seconds)), at)


LINKS = (
    *(f"{service}>{server}" for service in ("intake", "sla", "notify", "feedback") for server in ("kafka", "postgres")),
    "notify>smtp",
)

Draw = Callable[[Random, Sequence[Crew]], Round]

ROUNDS: dict[str, Draw] = {
    "quiet": quiet,
    "kill-roles": kill_each_role,
    "failpoints": failpoints,
    "kill-all": kill_all,
    "kill-servers": kill_servers,
    "broker": broker_away,
    "broker-long": broker_long_away,
    "database": database_away,
    "database-monkey": database_monkey,
    "backends": backends_terminated,
    "consumer-suspended": consumer_suspended,
    "relay-suspended": relay_suspended,
    "timers-suspended": timers_suspended,
    "clock": clocks_wrong,
    "two-releases": two_releases,
    "redelivered": redelivered,
    "rewound": rewound,
    "guards-lost": guards_lost,
    "positions-lost": positions_lost,
    "storm": storm,
    "poison": poison,
    "mail": mail_trouble,
    "webhook": webhook_trouble,
    "cut": cut_connections,
    "half-open": half_open,
    "slow": slow_links,
    "cut-after": cut_after_the_act,
    "mixture": mixture,
    "disk-full": disks_full,
}
"""By the name under which `opora chaos` takes them."""

SHORT = (
    "kill-roles",
    "failpoints",
    "cut-after",
    "broker",
    "database-monkey",
    "consumer-suspended",
    "redelivered",
    "poison",
    "mail",
)
FULL = tuple(name for name in ROUNDS if name != "disk-full")
"""On one platform; full disks need one of their own."""


def draw(names: Sequence[str], seed: int, crews: Sequence[Crew]) -> list[Round]:
    """The rounds of these names. One seed gives one plan, and a round alone is the same as within a longer plan."""
    return [ROUNDS[name](Random(f"{seed} {name}"), crews) for name in names]
