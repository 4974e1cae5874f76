"""Excerpts as HTML that may be put into a page."""

from html import escape

_BEGIN, _END = "\x02", "\x03"


def marked_html(text: str) -> str:
    """The text as HTML that holds no markup but `<mark>`, in which what stood between U+0002 and U+0003 is.

    Whatever the text itself holds is escaped, those two characters included: marks are always closed and never nested.
    """
    first, *rest = text.split(_BEGIN)
    html = [escape(first.replace(_END, ""))]
    for piece in rest:
        inside, end, outside = piece.partition(_END)
        html.append(f"<mark>{escape(inside)}</mark>{escape(outside.replace(_END, ''))}" if end else escape(inside))
    return "".join(html)
