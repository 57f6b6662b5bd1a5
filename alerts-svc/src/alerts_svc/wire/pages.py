"""Pages behind the links in messages: plain HTML, no script, readable on a phone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape

from starlette.responses import Response

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.3rem}dt{font-weight:600}dd{margin:0 0 .5rem;overflow-wrap:anywhere}"
    "label{display:block;margin:1rem 0 .3rem}"
    "input,select,button{font:inherit;width:100%;box-sizing:border-box;padding:.7rem}"
    "button{margin-top:1.2rem;font-weight:600}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# The address holds the token, so no other site may see it. With no-referrer browsers would post the form with the
# Origin "null", which is refused.
_REFERRER = "same-origin"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": _REFERRER,
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def page(title: str, *parts: str, status: int = 200) -> Response:
    """Return a page; ``title`` is text, ``parts`` are HTML."""
    text = escape(title)
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Goes before the header, which a gateway may set for all pages alike.
        f'<meta name="referrer" content="{_REFERRER}">\n'
        f"<title>{text}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{text}</h1>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )
    # What came from elsewhere may hold half a character.
    return Response(html.encode(errors="replace"), status, HEADERS, "text/html; charset=utf-8")


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def terms(pairs: Mapping[str, str]) -> str:
    """Return a list of names and what they are."""
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs.items()
    )
    return f"<dl>{rows}</dl>"


def form(button: str, field: str, choices: Sequence[tuple[str, str]], *, default: str) -> str:
    """Return a form that posts to the page's own address: a name, one choice, and a button."""
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == default else ""}>{escape(text)}</option>'
        for value, text in choices
    )
    return (
        '<form method="post">'
        '<label for="by">Your name</label><input id="by" name="by" maxlength="200" autocomplete="name">'
        f'<label for="{field}">For how long</label><select id="{field}" name="{field}">{options}</select>'
        f"<button>{escape(button)}</button></form>"
    )


def wants_page(accept: str | None) -> bool:
    """Return whether the client is a browser, or like one: it names HTML."""
    return accept is not None and "text/html" in accept.lower()
