"""HTML of strangers: what may be shown, and its text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opora_intake.mail.limits import MOST_ESCAPES, MOST_HTML_CHARACTERS, MOST_TAGS
from opora_intake.mail.plain import text_of_html
from opora_intake.mail.sanitise import sanitise
from services.intake.tests.mail_cost import expect_linear, steps

FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *(
                "<script>alert(1)</script>",
                "<SCRIPT SRC=//x>",
                "<svg onload=alert(1)>",
                "<math><mtext>",
                "</svg>",
                "<style>",
            ),
            *(
                "<img src=x onerror=alert(1)>",
                '<img src="cid:1@x">',
                '<img src="http://x/1.gif">',
                "<img srcset=http://x>",
            ),
            *(
                '<a href="javascript:alert(1)">',
                '<a href="JaVa\tscript:x">',
                '<a href="data:text/html,x">',
                "<a href=//x>",
            ),
            *(
                '<a href="https://example.org/">',
                "</a>",
                "<form action=http://x>",
                "<input>",
                "<button>",
                "<iframe src=x>",
            ),
            *(
                "<table background=http://x>",
                "<tr><td>",
                "</table>",
                "<p style='background:url(http://x)'>",
                "<b>",
                "</b>",
            ),
            *(
                "<!--",
                "-->",
                "<!-- --!>",
                "<![CDATA[",
                "<noscript>",
                "</noscript>",
                "<template>",
                "<xmp>",
                "<plaintext>",
            ),
            *("<base href=http://x>", "<meta http-equiv=refresh>", "<link rel=stylesheet href=x>", "<object data=x>"),
            *(
                "<title>",
                "</title>",
                "<textarea>",
                "</textarea>",
                "<select><option>",
                "<div",
                '"',
                "'",
                ">",
                "<",
                "&lt;",
                "&",
            ),
            *(
                "text",
                "слово",
                "\x00",
                "\r\n",
                "=",
                "/",
                "<pre>\n",
                "<blockquote>",
                "</blockquote>",
                "<li>",
                "<mglyph>",
            ),
        ]
    ),
    max_size=25,
).map("".join)

ACTIVE = re.compile(
    r"<\s*/?(?:script|style|svg|math|form|input|button|iframe|object|embed|link|meta|base|template|noscript|textarea|select)"
    r"|<[^>]*\s(?:on\w+|style|srcset|background|action|formaction|xlink:href)\s*=",
    re.IGNORECASE,
)
ADDRESS = re.compile(r'<(\w+)[^>]*\s(src|href)="([^"]*)"')


@given(FRAGMENTS)
def test_no_active_content_survives(html: str) -> None:
    """Whatever is put together: no script, style, form, foreign markup, handler, nor an address that is not allowed."""
    clean = sanitise(html)
    assert clean is not None
    # The parser writes `<` and `>` of text and values as entities: what is left of them is markup.
    assert not ACTIVE.search(clean), clean
    for tag, attribute, address in ADDRESS.findall(clean):
        allowed = ("cid:",) if attribute == "src" else ("http:", "https:", "mailto:", "tel:")
        assert address.lower().startswith(allowed), clean
        assert (tag == "img") == (attribute == "src")


@given(FRAGMENTS | st.text(max_size=200))
def test_sanitising_again_changes_nothing(html: str) -> None:
    """What was sanitised is a fixed point, so that no second parser makes something else of it."""
    clean = sanitise(html)
    assert clean is not None
    assert sanitise(clean) == clean


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>Hello <b>you</b></p>", "<p>Hello <b>you</b></p>"),
        ('<img src="cid:logo@x" alt="Logo">', '<img src="cid:logo@x" alt="Logo">'),
        ('<img src="https://x/pixel.gif" alt="Logo">', '<img alt="Logo">'),
        ('<img src="data:image/png;base64,AAAA">', "<img>"),
        ('<a href="https://x/">y</a>', '<a href="https://x/" rel="noopener noreferrer nofollow">y</a>'),
        ('<a href="cid:1">y</a>', '<a rel="noopener noreferrer nofollow">y</a>'),
        ("<form action=x>Name: <input value=1></form>", "Name: "),
        ("<svg><a href=x>y</a></svg>z", "z"),
        ("<style>p{}</style><script>x</script>z", "z"),
        ('<p style="color:red" onclick="x" class="y">z</p>', "<p>z</p>"),
        ("<td colspan=2 width=9>", ""),
    ],
)
def test_what_is_shown(html: str, shown: str) -> None:
    """Structure and emphasis stay; own pictures stay, remote ones keep their words; what acts or styles goes."""
    assert sanitise(html) == shown


def test_html_with_too_many_tags_is_not_shown() -> None:
    """Ten thousand tags are shown, one more is not, nor what is longer than two million characters."""
    assert sanitise("<p>" * MOST_TAGS) is not None
    assert sanitise("<p>" * (MOST_TAGS + 1)) is None
    assert sanitise("x" * (MOST_HTML_CHARACTERS + 1)) is None


@pytest.mark.parametrize("escaped", ["&", "\xa0", "< ", ">", "®", "»"])
def test_html_with_too_many_escapes_is_not_shown(escaped: str) -> None:
    """Of what may have to be escaped fifty thousand are shown and one more is not: parsing them is not linear."""
    assert sanitise(escaped * MOST_ESCAPES) is not None
    assert sanitise(escaped * (MOST_ESCAPES + 1)) is None


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("a &amp; b &lt;c&gt; &nbsp; &eacute;", "a & b <c> é"),
        ("<title>no</title><style>p{}</style><script>x</script>yes<!-- no -->", "yes"),
        ("<STYLE>p{}</STYLE>İ yes", "İ yes"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("Reply<blockquote>asked<blockquote>before</blockquote></blockquote>", "Reply\n\n> asked\n>\n> > before"),
        ("<pre>a\n  b</pre>c", "a\n  b\nc"),
        ("1 < 2 and 3 <4", "1 < 2 and 3 <4"),
        ('<a title="a > b">x</a>', "x"),
        ('<a title="never closed>x', "x"),
        ("<b", ""),
        ("<!-- never closed", ""),
        ("&#" + "9" * 5000 + ";", "\ufffd"),
        ("<p>a\x00b</p>", "ab"),
    ],
)
def test_the_text_of_html(html: str, text: str) -> None:
    """A line per block, quoted blocks marked, entities resolved; what never closes costs no more than its length."""
    assert text_of_html(html) == text


@given(FRAGMENTS | st.text(alphabet="<>!-/ab\"'=&#;9 \n", max_size=300))
def test_no_html_breaks_its_text(html: str) -> None:
    """Any fragments have a text, without NUL, in which no tag of the letter is left to be taken for one."""
    assert "\x00" not in text_of_html(html)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "<div>",
            "<",
            "<a b='",
            '<a b="c',
            "<!--",
            "<!",
            "</title",
            "<script>",
            "&amp;",
            "&",
            "<blockquote>x",
            "x<br>",
        ),
        *("<p>", "<pre>\n", "<li>x", "<td>x</td>", "&#99999999", "</blockquote>", ' ="', "<a ='>"),
    ],
)
def test_the_text_of_html_is_linear(unit: str) -> None:
    """Four times the tags, comments, quotes or entities, closed or not: at most four times the steps, and the text."""
    expect_linear(lambda size: lambda: text_of_html(unit * size), 500)
    assert len(text_of_html(unit * 2_000)) <= 4 * len(text_of_html(unit * 500)) + 500


def test_half_a_megabyte_of_nested_blocks_is_text_only() -> None:
    """500 KB of nested div are neither parsed as HTML nor walked down: less than sixty steps a tag."""
    html = "<div>" * 50_000 + "text" + "</div>" * 50_000
    assert sanitise(html) is None
    assert text_of_html(html) == "text"
    assert steps(text_of_html, html[:50_000]) < 10_000 * 60
