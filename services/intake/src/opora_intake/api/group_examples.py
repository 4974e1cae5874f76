"""What the documentation of groups shows."""

from opora_intake.api.examples import Json

_NEEDS: Json = {
    "tags": {"vip": ["senior"]},
    "categories": {"network": ["network"]},
    "components": {"login": ["sso", "network"]},
}
GROUP: Json = {
    "name": "platform",
    "rule": "least_loaded",
    "needs": _NEEDS,
    "members": [
        {"agent": "anna", "skills": ["network", "senior", "sso"], "capacity": 20, "present": True, "load": 7},
        {"agent": "boris", "skills": ["network"], "capacity": 10, "present": False, "load": 2},
    ],
    "version": 3,
    "changed_at": "2026-03-02T07:00:00Z",
    "changed_by": "agent:anna",
}
GROUPS: Json = {
    "Whoever has most room is next": {
        "rule": "least_loaded",
        "needs": _NEEDS,
        "members": [
            {"agent": "anna", "skills": ["network", "senior", "sso"]},
            {"agent": "boris", "skills": ["network"], "capacity": 10, "present": False},
        ],
    },
    "In turns": {"rule": "round_robin", "members": [{"agent": "anna"}, {"agent": "boris"}]},
}
PRESENCE: Json = {"agent": "anna", "present": True, "groups": ["network", "platform"]}
PRESENCES: Json = {"There again": {"present": True}}
CHOICE: Json = {
    "group": "platform",
    "rule": "least_loaded",
    "agent": "anna",
    "needed": ["network"],
    "considered": [
        {"agent": "anna", "standing": "chosen", "load": 7, "capacity": 20, "missing": []},
        {"agent": "boris", "standing": "absent", "load": 2, "capacity": 10, "missing": []},
    ],
    "sequence": 4,
    "time": "2026-03-02T08:14:06Z",
}
