"""An executed notebook as one HTML file: no script, no request, and a policy in its head that allows neither. Pure."""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fimkit.model.paths import render_terminal

__all__ = ["render_notebook"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:15px/1.55 system-ui,sans-serif;max-width:84rem;margin:0 auto;padding:1rem 1rem 4rem}
h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .3rem;border-bottom:1px solid var(--line)}
p,ul,ol{max-width:46rem}code{font-family:ui-monospace,monospace;font-size:.9em}
details{margin:.6rem 0 .2rem}summary{cursor:pointer;font-size:.8rem;opacity:.7}
pre{background:var(--soft);padding:.6rem .8rem;border-radius:6px;overflow-x:auto;margin:.3rem 0;
font:12px/1.45 ui-monospace,monospace}
pre.wrong{border-left:4px solid #a4133c}.out{overflow-x:auto;margin:.3rem 0 1rem}
table:not(.fim){border-collapse:collapse}table:not(.fim) td,table:not(.fim) th{padding:3px 8px;border-bottom:1px solid var(--line)}
@media print{details{display:none}body{max-width:none}}
"""


def _text(value: object) -> str:
    whole = "".join(value) if isinstance(value, list) else str(value)
    lines = (render_terminal(line.replace("\t", "    ")) for line in _ANSI.sub("", whole).split("\n"))
    return html.escape("\n".join(lines), quote=True)


def _rich(parts: Mapping[str, Any]) -> str:
    """Write the richest form of an output. HTML stands as the kernel gave it: what made it escaped it, and the policy holds."""
    if "text/html" in parts:
        return "".join(parts["text/html"])
    if "image/png" in parts:
        return f'<img alt="" src="data:image/png;base64,{html.escape("".join(parts["image/png"]).strip(), quote=True)}">'
    return f"<pre>{_text(parts.get('text/plain', ''))}</pre>"


def _output(output: Mapping[str, Any]) -> str:
    if output["output_type"] == "stream":
        return f"<pre>{_text(output['text'])}</pre>"
    if output["output_type"] == "error":
        trace = "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"
        return f'<pre class="wrong">{_text(trace)}</pre>'
    return f'<div class="out">{_rich(output["data"])}</div>'


def _cell(cell: Mapping[str, Any], markdown: Callable[[str], str]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return markdown(source)
    if cell["cell_type"] != "code" or not source.strip():
        return ""
    shown = "".join(map(_output, cell.get("outputs", ())))
    return f"<details><summary>code</summary><pre>{_text(source)}</pre></details>{shown}"


def render_notebook(cells: Iterable[Mapping[str, Any]], *, title: str, markdown: Callable[[str], str]) -> str:
    """Write a notebook as a page.

    Args:
        cells: As nbformat 4 has them, with their outputs.
        title: The page's.
        markdown: Makes HTML of the notebook's own words.

    Returns:
        The page. Code is folded; prose and answers are what is read.
    """
    body = "\n".join(part for part in (_cell(cell, markdown) for cell in cells) if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )
