"""JSON as one line of text that deceives no reader of it: what turns text around or ends a line for some is escaped. Pure."""

import json
import re

__all__ = ["render_json_line"]

# Unicode's format characters, and the separators that str.splitlines() and others take for the end of a line.
_DECEIVING = re.compile(
    "[\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001-\U000e007f"
    "\ud800-\udfff]"
)


def render_json_line(value: object) -> str:
    r"""Write a value as JSON; whoever reads it as JSON gets the same value.

    >>> render_json_line({"path": "/a\u202egnp.exe", "name": "ä\u2028"})
    '{"path":"/a\\u202egnp.exe","name":"ä\\u2028"}'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() and text.isprintable() else _DECEIVING.sub(lambda match: json.dumps(match[0])[1:-1], text)
