"""Who takes part: the desk's agents with their groups and shifts, the customers with their organisations."""

from dataclasses import dataclass
from random import Random

DESK_TIME_ZONE = "Europe/Moscow"
GROUPS = ("Service desk", "Applications", "Infrastructure", "Payments")


@dataclass(frozen=True, slots=True)
class Agent:
    """A member of the desk. The shift is in hours of the desk's day; one that passes midnight ends before it starts."""

    id: str
    name: str
    language: str
    group: str
    is_lead: bool
    shift: tuple[int, int]

    @property
    def email(self) -> str:
        """Where the agent's mail goes."""
        return f"{self.id}@orbit.example"

    def on_shift(self, hour: int) -> bool:
        """Whether the agent works in this hour of the desk's day."""
        start, end = self.shift
        return start <= hour < end if start < end else hour >= start or hour < end


@dataclass(frozen=True, slots=True)
class Organization:
    """A company that uses the product."""

    key: str
    name: str
    tier: str
    time_zone: str
    utc_offset_hours: int
    """Enough to know when its people are awake; the exact rules are the services' matter."""
    language: str


@dataclass(frozen=True, slots=True)
class Person:
    """A customer."""

    name: str
    email: str
    language: str
    organization: Organization


_DAY, _EARLY, _LATE, _NIGHT = (9, 18), (6, 15), (13, 22), (21, 7)
AGENTS = tuple(
    Agent(agent_id, name, language, group, is_lead, shift)
    for agent_id, name, language, group, is_lead, shift in (
        ("anna", "Анна Соколова", "ru", "Service desk", True, _DAY),
        ("boris", "Борис Левин", "ru", "Service desk", False, _EARLY),
        ("clara", "Clara Vogel", "en", "Service desk", False, _DAY),
        ("denis", "Денис Орлов", "ru", "Service desk", False, _LATE),
        ("elena", "Елена Мороз", "ru", "Service desk", False, _NIGHT),
        ("farid", "Фарид Галиев", "ru", "Applications", True, _DAY),
        ("grace", "Grace Lindqvist", "en", "Applications", False, _DAY),
        ("hugo", "Hugo Martins", "en", "Applications", False, _LATE),
        ("inna", "Инна Калугина", "ru", "Applications", False, _EARLY),
        ("jan", "Jan Kowalski", "en", "Applications", False, _NIGHT),
        ("kira", "Кира Данилова", "ru", "Infrastructure", True, _DAY),
        ("lev", "Лев Аронов", "ru", "Infrastructure", False, _EARLY),
        ("mia", "Mia Jensen", "en", "Infrastructure", False, _LATE),
        ("nikita", "Никита Белов", "ru", "Infrastructure", False, _NIGHT),
        ("olga", "Ольга Седова", "ru", "Infrastructure", False, _DAY),
        ("paul", "Paul Whitaker", "en", "Payments", True, _DAY),
        ("rita", "Рита Ахметова", "ru", "Payments", False, _EARLY),
        ("sofia", "Sofia Rossi", "en", "Payments", False, _LATE),
        ("timur", "Тимур Назаров", "ru", "Payments", False, _NIGHT),
        ("vera", "Вера Лапина", "ru", "Payments", False, _DAY),
    )
)
"""Twenty agents; every group has a lead, and somebody at each hour."""

ORGANIZATIONS = tuple(
    Organization(key, name, tier, time_zone, offset, language)
    for key, name, tier, time_zone, offset, language in (
        ("baltika", "Балтика Логистика", "premium", "Europe/Kaliningrad", 2, "ru"),
        ("volna", "Волна Ритейл", "premium", "Europe/Moscow", 3, "ru"),
        ("samara", "Самарский завод приборов", "standard", "Europe/Samara", 4, "ru"),
        ("ural", "Урал Телеком", "premium", "Asia/Yekaterinburg", 5, "ru"),
        ("sibir", "Сибирь Фарма", "standard", "Asia/Novosibirsk", 7, "ru"),
        ("amur", "Амур Порт", "basic", "Asia/Vladivostok", 10, "ru"),
        ("hanse", "Hanse Kontor", "premium", "Europe/Berlin", 1, "en"),
        ("lumen", "Lumen Energy", "standard", "Europe/London", 0, "en"),
        ("brook", "Brook & Daughters", "basic", "America/New_York", -5, "en"),
        ("sierra", "Sierra Outdoor", "standard", "America/Los_Angeles", -8, "en"),
        ("lotus", "Lotus Travel", "basic", "Asia/Singapore", 8, "en"),
        ("jade", "Jade Robotics", "premium", "Asia/Tokyo", 9, "en"),
    )
)
"""Twelve organisations in twelve time zones and three tiers."""

_NAMES = {
    "ru": (
        "Мария Иванова",
        "Алексей Смирнов",
        "Ольга Кузнецова",
        "Дмитрий Попов",
        "Екатерина Волкова",
        "Сергей Лебедев",
        "Наталья Козлова",
        "Игорь Новиков",
        "Татьяна Морозова",
        "Павел Егоров",
        "Юлия Павлова",
        "Роман Фёдоров",
        "Светлана Николаева",
        "Андрей Макаров",
        "Ирина Захарова",
    ),
    "en": (
        "Hannah Weber",
        "Oliver Grant",
        "Amelia Stone",
        "Lucas Meyer",
        "Chloe Bennett",
        "Ethan Brooks",
        "Isla Murray",
        "Noah Fischer",
        "Ava Sinclair",
        "Leo Tanaka",
        "Zoe Carter",
        "Max Holm",
        "Ella Quinn",
        "Sam Ortiz",
        "Nora Wu",
    ),
}
_PEOPLE_PER_ORGANIZATION = 5


def make_people(random: Random) -> list[Person]:
    """Sixty customers, five of each organisation; one in eight writes in the other language."""
    people: list[Person] = []
    for organization in ORGANIZATIONS:
        for index, name in enumerate(random.sample(_NAMES[organization.language], _PEOPLE_PER_ORGANIZATION), start=1):
            other = "en" if organization.language == "ru" else "ru"
            language = other if random.random() < 1 / 8 else organization.language
            people.append(Person(name, f"person{index}@{organization.key}.example", language, organization))
    return people
