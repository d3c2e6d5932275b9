"""Loads the SQL files of ``queries/``, one query a file, each with a header that says what it is for.

A file begins with comment lines. The first is the description; then come keys, as in ``-- Why: text``, whose text goes on in
comment lines that are indented further. What follows the header is the SQL, without its last semicolon.
"""

import os
import re
import site
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fimkit.model.errors import ConfigError, clip

__all__ = ["Query", "load_queries", "load_query", "parse_query", "queries_folder"]

_COMMENT = re.compile(r"--(?P<space>\s*)(?P<text>.*?)\s*")
_KEY = re.compile(r"(?P<key>[A-Z][a-z]+):\s*(?P<text>.*)")
_NUMBER = re.compile(r"[0-9]+-")
_KEYS = ("Why", "Cost", "Platform", "Interval", "Snapshot", "Removed", "Version", "Source")
_YES = {"yes": True, "no": False}
_SHARED = Path("share", "fimkit", "queries")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query with what its header says.

    ``name`` is the file's name without number and ending, ``folder`` the folder below ``queries``. ``platform`` is in osquery's
    words (``linux``, ``posix``, ``all``). ``interval_s`` is ``None`` for a query that is asked and not scheduled. ``snapshot`` and
    ``removed`` are osquery's own keys of a scheduled query. ``source`` says where its facts come from.
    """

    name: str
    folder: str
    sql: str
    description: str
    why: str = ""
    cost: str = ""
    platform: str = "linux"
    interval_s: int | None = None
    snapshot: bool = False
    removed: bool = False
    version: str = ""
    source: str = ""


def _read_header(lines: list[str]) -> tuple[str, dict[str, str], int]:
    """Give the description, the keys, and how many lines they took."""
    description, values, key, taken = "", dict[str, str](), "", 0
    for taken, line in enumerate(lines):
        comment = _COMMENT.fullmatch(line)
        if comment is None:
            return description, values, taken
        match = _KEY.fullmatch(comment["text"]) if len(comment["space"]) <= 1 else None
        if match is not None:
            key = match["key"]
            values[key] = match["text"]
        elif key:
            values[key] = f"{values[key]} {comment['text']}".strip()
        else:
            description = f"{description} {comment['text']}".strip()
    return description, values, len(lines)


def _read_interval(values: dict[str, str], problems: list[str]) -> int | None:
    text = values.get("Interval")
    if text is None:
        return None
    # osquery refuses an interval of more than a week.
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= 604_800:
        problems.append(f"Interval is {clip(text)}, expected seconds: 1 to 604800")
        return None
    return int(text)


def _read_yes(values: dict[str, str], key: str, problems: list[str]) -> bool:
    text = values.get(key, "no")
    if text not in _YES:
        problems.append(f"{key} is {clip(text)}, expected yes or no")
    return _YES.get(text, False)


def parse_query(text: str, *, name: str, folder: str = "") -> Query:
    r"""Read one query file.

    Args:
        text: The whole file.
        name: What the query is called.
        folder: The folder below ``queries``.

    Raises:
        ConfigError: If the header is wrong, with every problem.

    >>> query = parse_query("-- Who is logged in\n-- Why: whose session\n--   it is\n\nSELECT * FROM x;\n", name="who")
    >>> query.description, query.why, query.sql
    ('Who is logged in', 'whose session it is', 'SELECT * FROM x')
    """
    lines = text.split("\n")
    description, values, taken = _read_header(lines)
    problems = [f"unknown key {clip(key)}; known: {', '.join(_KEYS)}" for key in values if key not in _KEYS]
    if not description:
        problems.append("has no description, expected one in the first line, as in `-- Who is logged in`")
    sql = "\n".join(lines[taken:]).strip().removesuffix(";").rstrip()
    if not sql:
        problems.append("has no SQL below its header")
    query = Query(
        name=name,
        folder=folder,
        sql=sql,
        description=description,
        why=values.get("Why", ""),
        cost=values.get("Cost", ""),
        platform=values.get("Platform", "linux"),
        interval_s=_read_interval(values, problems),
        snapshot=_read_yes(values, "Snapshot", problems),
        removed=_read_yes(values, "Removed", problems),
        version=values.get("Version", ""),
        source=values.get("Source", ""),
    )
    if problems:
        raise ConfigError([f"query {folder}/{name}: {problem}" for problem in problems])
    return query


def _installed_folders() -> Iterator[Path]:
    """Give where an installation may have put them: beside the package (``pip --target``), in its scheme's place, in the user's."""
    yield Path(__file__).parents[2] / _SHARED
    yield Path(sysconfig.get_path("data")) / _SHARED
    if site.ENABLE_USER_SITE:
        yield Path(sysconfig.get_path("data", f"{os.name}_user")) / _SHARED


@cache
def queries_folder() -> Path:
    """Find the project's ``queries``: of the checkout that this module is in, else of the installation.

    Raises:
        ConfigError: If there is none: the installation is broken.
    """
    root = Path(__file__).parents[2]
    # Beside an installed package lie other projects' folders: only a checkout has its pyproject.toml there.
    if (root / "pyproject.toml").is_file() and (root / "queries").is_dir():
        return root / "queries"
    places = list(_installed_folders())
    for place in places:
        if place.is_dir():
            return place
    raise ConfigError([f"fimkit's queries are not installed; looked in {', '.join(map(str, places))}"])


def _load(file: Path, folder: str) -> Query:
    try:
        text = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file}: cannot be read: {error}"]) from None
    return parse_query(text, name=_NUMBER.sub("", file.stem, count=1), folder=folder)


def load_queries(folder: str) -> tuple[Query, ...]:
    """Load the queries of one folder below ``queries``, in the order of their file names.

    Raises:
        ConfigError: If there is no such folder, or a file in it is wrong.

    >>> [query.name for query in load_queries("recon")][:2]
    ['process_open_sockets', 'listening_ports']
    """
    place = queries_folder() / folder
    if not place.is_dir():
        raise ConfigError([f"{place}: no such folder of queries"])
    return tuple(_load(file, folder) for file in sorted(place.glob("*.sql")))


def load_query(name: str) -> Query:
    """Load one query by folder and name, as in ``recon/processes``; the number of its file is not part of it.

    Raises:
        ConfigError: If there is no such query, or its file is wrong.

    >>> load_query("recon/processes").folder
    'recon'
    """
    folder, _, wanted = name.rpartition("/")
    known = load_queries(folder)
    for query in known:
        if query.name == wanted:
            return query
    raise ConfigError([f"no query {clip(name)}; known: {', '.join(query.name for query in known)}"])
