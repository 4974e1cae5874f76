"""HTML that may be shown: an allow-list of our own, kept by nh3's HTML5 parser."""

import re

import nh3

from opora_intake.mail.limits import MOST_ESCAPES, MOST_HTML_CHARACTERS, MOST_TAGS

_SHOWN = (
    "a abbr b big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption figure"
    " font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strike strong sub summary sup table"
    " tbody td tfoot th thead tr tt u ul var"
)
_GONE_WITH_CONTENT = (
    "script style svg math title iframe object embed applet frameset noframes noembed noscript template textarea select"
    " xmp plaintext audio video canvas"
)
_ATTRIBUTES = {
    "*": {"dir", "lang", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "align", "valign"},
    "th": {"colspan", "rowspan", "align", "valign"},
    "ol": {"start"},
    "blockquote": {"type"},
}
_SCHEMES = {"http", "https", "mailto", "tel", "cid"}
_LINKS = ("http:", "https:", "mailto:", "tel:")
_MOST_PASSES = 4
_ESCAPED = re.compile("[&<>\x80-\xbf]")
_TAG = re.compile(r"<[a-zA-Z/!?]")


def sanitise(html: str) -> str | None:
    """The HTML with nothing but what may be shown; None when only its text may be.

    No script, style, form, svg or math survives, no event handler, no address of another scheme than http, https,
    mailto and tel in links, and no picture but those of the letter itself (`cid:`): a remote one would tell its owner
    who reads when. Sanitising the result again changes nothing. None is answered above 10,000 tags, 50,000
    characters that may have to be escaped or 2,000,000 in all, and when the result would not settle.
    """
    if len(html) > MOST_HTML_CHARACTERS or tags_in(html) > MOST_TAGS or escapes_in(html) > MOST_ESCAPES:
        return None
    for _ in range(_MOST_PASSES):
        cleaned = _CLEANER.clean(html)
        if cleaned == html:
            return cleaned
        html = cleaned
    return None


def tags_in(html: str) -> int:
    """How many tags the text may hold: every place where one could begin."""
    return sum(1 for _ in _TAG.finditer(html))


def escapes_in(html: str) -> int:
    """How many characters the text holds at which the parser or the writer stops."""
    return sum(1 for _ in _ESCAPED.finditer(html))


def _only_ours(tag: str, attribute: str, value: str) -> str | None:
    scheme = "".join(value.split()).lower()
    if attribute == "src":
        return value if tag == "img" and scheme.startswith("cid:") else None
    if attribute == "href":
        return value if scheme.startswith(_LINKS) else None
    return value


_CLEANER = nh3.Cleaner(
    tags=frozenset(_SHOWN.split()),
    clean_content_tags=frozenset(_GONE_WITH_CONTENT.split()),
    attributes=_ATTRIBUTES,
    attribute_filter=_only_ours,
    link_rel="noopener noreferrer nofollow",
    url_schemes=_SCHEMES,
    url_relative="deny",
)
