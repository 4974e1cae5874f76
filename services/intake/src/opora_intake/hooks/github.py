"""GitHub's webhooks on issues: `issues` and `issue_comment`.

https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from collections.abc import Mapping

from opora_contracts.vocabulary import AuthorKind
from opora_intake.domain.hooks import HookReading, Ignored, Signal, Turn
from opora_intake.hooks.payload import (
    Json,
    UnreadableError,
    found,
    items,
    key_of,
    lines_of,
    pairs,
    text_of,
    title_of,
    words,
)

_TURNS = {
    "opened": Turn.BEGINS,
    "reopened": Turn.BEGINS,
    "closed": Turn.ENDS,
    "deleted": Turn.ENDS,
    "transferred": Turn.ENDS,
}
_TOLD = frozenset({"edited", "labeled", "unlabeled", "assigned", "unassigned", "milestoned", "locked", "unlocked"})
_TEAM = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


def read_github(payload: Json, event: str) -> HookReading:
    """By the event that the header X-GitHub-Event names; without one, by what the payload holds."""
    issue, action = pairs(payload, "issue"), words(payload, "action")
    if event == "ping":
        return Ignored("GitHub says that the webhook was set up")
    event = event or ("issue_comment" if "comment" in payload else "issues" if issue else "")
    if event not in {"issues", "issue_comment"}:
        return Ignored(f"the event {event[:50] or 'without a name'} is no case for support: send issues, issue_comment")
    repository, number = words(payload, "repository", "full_name"), issue.get("number")
    if not repository or not isinstance(number, int):
        raise UnreadableError("There is no /repository/full_name or no /issue/number.")
    if "pull_request" in issue:
        return Ignored("a comment on a pull request is no case for support")
    about = _About(repository, number, issue)
    return _commented(about, pairs(payload, "comment"), action) if event == "issue_comment" else _issue(about, payload)


class _About:
    def __init__(self, repository: str, number: int, issue: Mapping[str, Json]) -> None:
        self.key = key_of(f"{repository}#{number}")
        self.issue = issue
        self.title = title_of(words(issue, "title"), f"Issue {self.key}")
        self.opener = words(issue, "user", "login")
        labels = ", ".join(filter(None, (words(label, "name") for label in items(issue, "labels"))))
        self.body = text_of(
            words(issue, "body"),
            lines_of(
                {
                    "Issue": issue.get("html_url"),
                    "Repository": repository,
                    "Opened by": self.opener,
                    "Labels": labels,
                    "At": issue.get("created_at"),
                }
            ),
        )

    def signal(self, turn: Turn, news: str, *, speaker: AuthorKind | None = None, author: str | None = None) -> Signal:
        return Signal(
            key=self.key, turn=turn, title=self.title, body=self.body, news=news, speaker=speaker, author=author
        )


def _issue(about: _About, payload: Json) -> HookReading:
    action = words(payload, "action")
    turn = _TURNS.get(action) or (Turn.TELLS if action in _TOLD else None)
    if turn is None:
        return Ignored(f"an issue was {action[:50] or 'touched'}")
    who = words(payload, "sender", "login")
    changed = {
        "By": who,
        "Label": found(payload, "label", "name"),
        "Assignee": found(payload, "assignee", "login"),
        "Reason": found(about.issue, "state_reason"),
        "Issue": about.issue.get("html_url"),
    }
    edited = ""
    if action == "edited":
        edited = text_of(f"Title: {about.title}", words(about.issue, "body"))
    return (about.signal(turn, text_of(f"The issue was {action} on GitHub.", edited, lines_of(changed))),)


def _commented(about: _About, comment: Mapping[str, Json], action: str) -> HookReading:
    text, login = words(comment, "body"), words(comment, "user", "login")
    if not text:
        raise UnreadableError("There is no /comment/body.")
    link = lines_of({"Comment": comment.get("html_url")})
    if action != "created":
        return (about.signal(Turn.TELLS, text_of(f"A comment of {login} was {action} on GitHub:", text, link)),)
    if words(comment, "user", "type") == "Bot":
        return (about.signal(Turn.TELLS, text_of(f"{login}, a program, wrote on GitHub:", text, link)),)
    is_team = words(comment, "author_association") in _TEAM and login != about.opener
    speaker = AuthorKind.AGENT if is_team else AuthorKind.CUSTOMER
    author = f"github:{login}"[:100] if login else None
    return (about.signal(Turn.TELLS, text_of(text, link), speaker=speaker, author=author),)
