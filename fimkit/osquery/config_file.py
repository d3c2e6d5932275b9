"""Reads an osquery installation's configuration from its files: ``osquery.conf``, ``osquery.conf.d``, packs, the flag file.

What osqueryd makes of them: first the configuration's own file, then ``<config_path>.d/*.conf`` in the order of their names; each
one's options go over the earlier ones'; schedules, packs and file_paths stand side by side; of exclude_paths, the last file with a
category replaces that category. The first file that it cannot parse ends the reading.

Source: osquery, plugins/config/filesystem_config.cpp, config/config.cpp, config/packs.cpp, plugins/config/parsers/.
"""

import errno
import glob
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fimkit.model.errors import clip
from fimkit.model.paths import join_path, render_path
from fimkit.osquery.config_json import parse_config_json
from fimkit.osquery.flag_file import load_flags
from fimkit.osquery.osquery_config import FilePattern, OsqueryConfig, PathQuery, Problem, ScheduledQuery, Setting

__all__ = ["load_osquery_config", "read_host_text", "with_pack"]

_MOST_BYTES = 16 << 20
_DEFAULT_INTERVAL_S = 3600
_LONGEST_INTERVAL_S = 604_800


def read_host_text(path: bytes) -> str:
    """Read a file of the host as text; bytes that are no UTF-8 stay as surrogates.

    Raises:
        OSError: If it is no regular file, cannot be read, or is absurdly long.
    """
    if b"\0" in path:
        raise OSError(errno.EINVAL, "a NUL in the path", path)
    # Without O_NONBLOCK the open of a fifo waits for a writer.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no regular file", path)
        raw = opened.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"longer than {_MOST_BYTES} bytes", path)
    return raw.decode("utf-8", "surrogateescape")


class _Reader:
    """Collects what the files say, and what is wrong with them."""

    def __init__(self, config_path: bytes, root: bytes) -> None:
        self.config_path = config_path
        self.root = root
        self.files: list[bytes] = []
        self.problems: list[Problem] = []
        self.file_paths: list[FilePattern] = []
        self.path_queries: list[PathQuery] = []
        self.exclude_paths: dict[str, list[FilePattern]] = {}
        self.accesses: list[tuple[str, bytes]] = []
        self.queries: list[ScheduledQuery] = []
        self.options: dict[str, Setting] = {}

    def say(self, file: bytes, words: str, *, refused: bool = False) -> None:
        self.problems.append(Problem(file, words, refused=refused))

    def read_json(self, file: bytes) -> Mapping[str, Any] | None:
        try:
            text = read_host_text(self.root + file)
        except OSError as error:
            self.say(file, f"it cannot be read: {error.strerror}", refused=True)
            return None
        self.files.append(file)
        found, problems = parse_config_json(text)
        self.problems += [Problem(file, one.words, one.line, one.column, one.refused) for one in problems]
        return found

    def read_all(self) -> None:
        if not os.path.isfile(self.root + self.config_path):
            self.say(self.config_path, "there is no such file, and without it osqueryd reads none of the others", refused=True)
            files = []
        else:
            files = [self.config_path]
        below = glob.glob(b"*.conf", root_dir=self.root + self.config_path + b".d")
        files += [self.config_path + b".d/" + name for name in sorted(below)]
        for place, file in enumerate(files):
            found = self.read_json(file)
            if found is not None:
                self.read_source(file, found)
            if files[place + 1 :] and any(problem.refused and problem.file == file for problem in self.problems):
                later = ", ".join(map(render_path, files[place + 1 :]))
                self.say(file, f"osqueryd stops at it, and does not read {later}", refused=True)

    def read_source(self, file: bytes, found: Mapping[str, Any]) -> None:
        schedule = found.get("schedule")
        if isinstance(schedule, dict):
            self.read_queries(file, schedule, pack=None, of={})
        elif schedule is not None:
            self.say(file, "schedule is no object, and is passed over")
        packs = found.get("packs")
        for name, pack in packs.items() if isinstance(packs, dict) else ():
            self.read_pack(file, name, pack)
        if packs is not None and not isinstance(packs, dict):
            self.say(file, "packs is no object, and is passed over")
        options = found.get("options")
        if isinstance(options, dict):
            self.options |= {name: Setting(_text_of(value), f"{render_path(file)}: options") for name, value in options.items()}
        elif options is not None:
            self.say(file, "options is no object, and is passed over")
        self.read_paths(file, found)

    def read_pack(self, file: bytes, name: str, pack: Any) -> None:
        if isinstance(pack, dict):
            self.read_pack_text(file, name, pack)
        elif not isinstance(pack, str):
            self.say(file, f"the pack {clip(name)} is neither a path nor an object, and is passed over")
        elif name == "*":
            pattern = glob.escape(self.root) + _wildcards(_bytes_of(pack))
            paths = sorted(glob.glob(pattern))
            if not paths:
                self.say(file, f"no pack is at {render_path(_bytes_of(pack))}")
            for path in paths:
                place = path[len(self.root) :]
                self.read_pack_file(place, os.fsdecode(os.path.splitext(os.path.basename(place))[0]))
        else:
            self.read_pack_file(join_path(b"/", _bytes_of(pack)), name)

    def read_pack_file(self, path: bytes, name: str) -> None:
        known = len(self.problems)
        pack = self.read_json(path)
        # A pack that is refused is passed over, and stops nothing else.
        self.problems[known:] = [
            problem._replace(words=f"{problem.words}; the pack is passed over" if problem.refused else problem.words)
            for problem in self.problems[known:]
        ]
        if pack is not None:
            self.read_pack_text(path, name, pack)

    def read_pack_text(self, file: bytes, name: str, pack: Mapping[str, Any]) -> None:
        queries = pack.get("queries")
        if isinstance(queries, dict):
            self.read_queries(file, queries, pack=name, of=pack)
        elif queries is not None:
            self.say(file, f"queries of the pack {clip(name)} is no object, and is passed over")
        self.read_paths(file, pack)

    def read_queries(self, file: bytes, queries: Mapping[str, Any], *, pack: str | None, of: Mapping[str, Any]) -> None:
        for name, query in queries.items():
            sql = query.get("query") if isinstance(query, dict) else None
            if not isinstance(sql, str) or not sql:
                self.say(file, f"the query {clip(name)} has no text, and is passed over")
                continue
            interval_s = _number_of(query.get("interval", _DEFAULT_INTERVAL_S))
            if not 0 < interval_s <= _LONGEST_INTERVAL_S:
                words = f"{clip(query.get('interval'))} is out of range, expected 1 to {_LONGEST_INTERVAL_S}"
                self.say(file, f"the interval of the query {clip(name)}, {words}; it is passed over")
                continue
            discovery = of.get("discovery")
            self.queries.append(
                ScheduledQuery(
                    name=name,
                    sql=sql,
                    interval_s=interval_s,
                    file=file,
                    removed=_truth_of(query.get("removed", True)),
                    snapshot=_truth_of(query.get("snapshot", False)),
                    denylist=_truth_of(query.get("denylist", query.get("blacklist", True))),
                    platform=_narrower(query.get("platform"), of.get("platform")),
                    version=_narrower(query.get("version"), of.get("version")),
                    shard=_number_of(query.get("shard", 0)) or _number_of(of.get("shard", 0)),
                    pack=pack,
                    discovery=tuple(map(str, discovery)) if isinstance(discovery, list) else (),
                )
            )

    def read_paths(self, file: bytes, found: Mapping[str, Any]) -> None:
        for category, pattern in self.strings_of(file, found, "file_paths"):
            self.file_paths.append(FilePattern(category, _bytes_of(pattern), file))
        for category, sql in self.strings_of(file, found, "file_paths_query"):
            self.path_queries.append(PathQuery(category, sql, file))
        excludes: dict[str, list[FilePattern]] = {}
        for category, pattern in self.strings_of(file, found, "exclude_paths"):
            excludes.setdefault(category, []).append(FilePattern(category, _bytes_of(pattern), file))
        accesses = found.get("file_accesses")
        names = [name for name in accesses if isinstance(name, str)] if isinstance(accesses, list) else []
        if "file_paths" not in found and "file_paths_query" not in found:
            if excludes or names:
                self.say(file, "exclude_paths and file_accesses are passed over, since they stand without file_paths beside them")
            return
        self.accesses += [(name, file) for name in names]
        for category in excludes.keys() & self.exclude_paths.keys():
            other = render_path(self.exclude_paths[category][0].file)
            self.say(file, f"exclude_paths of the category {clip(category)} takes the place of those in {other}")
        self.exclude_paths |= excludes

    def strings_of(self, file: bytes, found: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
        """Give what stands by category under ``key``."""
        value = found.get(key)
        if value is not None and not isinstance(value, dict):
            self.say(file, f"{key} is no object of categories, and is passed over")
        for category, items in value.items() if isinstance(value, dict) else ():
            if not isinstance(items, list):
                self.say(file, f"{key}: the category {clip(category)} is no list, and is passed over")
                continue
            for item in items:
                if isinstance(item, str) and item:
                    yield category, item
                else:
                    self.say(file, f"{key}: {clip(item)} in the category {clip(category)} is no text, and is passed over")


def load_osquery_config(config_path: bytes, *, root: bytes = b"", flagfile: bytes | None = None) -> OsqueryConfig:
    """Read an installation's files; what cannot be read is in ``problems``, and nothing raises.

    Args:
        config_path: osqueryd's ``--config_path``, as the host itself names it.
        root: The host's root folder, where it is not this host.
        flagfile: osqueryd's ``--flagfile``; else the one that the service's settings name, else ``osquery.flags`` beside the
            configuration.
    """
    reader = _Reader(config_path, root)
    reader.read_all()
    flags, files, problems = load_flags(config_path, root=root, flagfile=flagfile, read=read_host_text)
    return OsqueryConfig(
        config_path=config_path,
        files=(*reader.files, *files),
        file_paths=tuple(reader.file_paths),
        path_queries=tuple(reader.path_queries),
        exclude_paths=tuple(pattern for patterns in reader.exclude_paths.values() for pattern in patterns),
        accesses=tuple(reader.accesses),
        queries=tuple(reader.queries),
        options=reader.options,
        flags=flags,
        problems=(*reader.problems, *problems),
    )


def with_pack(config: OsqueryConfig, name: str, text: str, *, file: bytes) -> OsqueryConfig:
    """Give a configuration as it is with a pack in ``file``, in place of what that file holds now.

    Args:
        config: As the files have it.
        name: The pack's name.
        text: The pack's.
        file: Where it is, or is to be.
    """
    reader = _Reader(config.config_path, b"")
    pack, problems = parse_config_json(text)
    if pack is not None:
        reader.read_pack_text(file, name, pack)
    new = reader.exclude_paths
    return replace(
        config,
        file_paths=(*(one for one in config.file_paths if one.file != file), *reader.file_paths),
        path_queries=(*(one for one in config.path_queries if one.file != file), *reader.path_queries),
        exclude_paths=(
            *(one for one in config.exclude_paths if one.file != file and one.category not in new),
            *(pattern for patterns in new.values() for pattern in patterns),
        ),
        accesses=(*(one for one in config.accesses if one[1] != file), *reader.accesses),
        queries=(*(one for one in config.queries if one.file != file), *reader.queries),
        problems=(
            *(one for one in config.problems if one.file != file),
            *(Problem(file, one.words, one.line, one.column, one.refused) for one in problems),
            *reader.problems,
        ),
    )


def _bytes_of(text: str) -> bytes:
    text = text.partition("\0")[0]  # as osqueryd does, whose texts end there
    # A lone surrogate as \ud800 is no character: osqueryd refuses it, and here it becomes "?".
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _wildcards(pattern: bytes) -> bytes:
    return re.sub(rb"%+", lambda found: b"**" if len(found[0]) > 1 else b"*", pattern)


def _text_of(value: Any) -> str:
    """Write an option's value as osqueryd makes a flag's text of it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number_of(value: Any) -> int:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else 0
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _truth_of(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() in ("true", "t")
    return bool(value) if isinstance(value, bool | int) else False


def _narrower(own: Any, of_pack: Any) -> str:
    """Give what a query says for itself, else what its pack says for all."""
    for value in (own, of_pack):
        if isinstance(value, str) and value:
            return value
    return ""
