"""Makes logs that went wrong: real lines cut, joined, doubled, shuffled and altered, byte by byte and field by field. Seeded."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

__all__ = ["SEEDS_AUDIT", "SEEDS_OSQUERY", "mutate_audit", "mutate_osquery"]

DATA = Path(__file__).parents[1] / "data"
LONG_BYTES = 20_000

Mutator = Callable[[bytes, random.Random], bytes]


def _lines_of(*names: str) -> list[bytes]:
    return [line for name in names for line in (DATA / name).read_bytes().split(b"\n") if line]


SEEDS_AUDIT = _lines_of(
    "audit/audit-sample.log", "audit/interleaved.log", "audit/lost-partial.log", "audit/uring.log", "incident-01/audit.log"
)
SEEDS_OSQUERY = [
    line
    for line in _lines_of(
        "osquery/results-fileops.log", "osquery/snapshots.log", "osquery/batch.txt", "incident-01/osqueryd.results.log"
    )
    if line.startswith(b"{")
]

_NUMBER = re.compile(rb"[0-9]+")
_STAMP = re.compile(rb"audit\(([0-9]+)\.([0-9]+):([0-9]+)\)")
_HEX = re.compile(rb"=([0-9A-F]{8,})")
_FIELD = re.compile(rb' [a-z_0-9]+=(?:"[^"]*"|[^ ]*)')
_KIND = re.compile(rb"type=[A-Z_]+")
_NUMBERS = [
    b"0", b"-1", b"00", b"1", b"18446744073709551615", b"18446744073709551616", b"9223372036854775807", b"9223372036854775808",
    b"4294967295", b"4294967296", b"2147483648", b"9" * 40, b"1e9", b"0x7f", b"+5", b" 5", "\u0665".encode(), b"1_000", b"",
]  # fmt: skip
_TYPES = [
    b"SYSCALL", b"CWD", b"PATH", b"PROCTITLE", b"EXECVE", b"EOE", b"OPENAT2", b"URINGOP", b"USER_LOGIN", b"CONFIG_CHANGE",
    b"DAEMON_START", b"DAEMON_END", b"UNKNOWN[1337]", b"1300", b"path", b"",
]  # fmt: skip
_TEXTS = [
    b"\x00", b"\x1d", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\r", b'"', b"\\", b"=", b" ", b"(null)", b"'", b"\x1b[2J",
    b"<script>", b"\xe2\x80\xae", b"\x85", b"\x0b\x0c", b"%00", b"../", b"{", b"}", b"[", b"]", b":", b",",
]  # fmt: skip
_NODES = [b"node=web02 ", b"node= ", b"node=\xff ", b"node=" + b"h" * 300 + b" ", b"node=a\x1db ", b"node=web01 node=web02 "]


def _place(line: bytes, chance: random.Random) -> int:
    return int(chance.random() * (len(line) + 1))


def _within(pattern: re.Pattern[bytes], line: bytes, chance: random.Random, new: bytes) -> bytes:
    """Put another text in the place of what a pattern finds behind a random place, or first."""
    match = pattern.search(line, _place(line, chance)) or pattern.search(line)
    return line if match is None else line[: match.start()] + new + line[match.end() :]


def flip_bits(line: bytes, chance: random.Random) -> bytes:
    """Damage one to four bytes; a newline may come of it."""
    broken = bytearray(line)
    for _ in range(1 + int(chance.random() * 4)):
        if broken:
            broken[int(chance.random() * len(broken))] ^= 1 << int(chance.random() * 8)
    return bytes(broken)


def cut_end(line: bytes, chance: random.Random) -> bytes:
    return line[: _place(line, chance)]


def cut_start(line: bytes, chance: random.Random) -> bytes:
    return line[_place(line, chance) :]


def cut_middle(line: bytes, chance: random.Random) -> bytes:
    at = _place(line, chance)
    return line[:at] + line[at + 1 + int(chance.random() * 40) :]


def split_line(line: bytes, chance: random.Random) -> bytes:
    at = _place(line, chance)
    return line[:at] + b"\n" + line[at:]


def put_text(line: bytes, chance: random.Random) -> bytes:
    at = _place(line, chance)
    return line[:at] + chance.choice(_TEXTS) + line[at:]


def put_number(line: bytes, chance: random.Random) -> bytes:
    return _within(_NUMBER, line, chance, chance.choice(_NUMBERS))


def repeat_part(line: bytes, chance: random.Random) -> bytes:
    at, size = _place(line, chance), 1 + int(chance.random() * 60)
    return line[: at + size] + line[at:]


def end_otherwise(line: bytes, chance: random.Random) -> bytes:
    return line + chance.choice((b"\r", b"\r\r", b" ", b"\x00", b"\n", b"\n\n", b"\x1d"))


def make_long(line: bytes, chance: random.Random) -> bytes:
    """Rarely one that is longer than a record may be."""
    size = LONG_BYTES if chance.random() < 0.999 else (1 << 20) + 100
    at = _place(line, chance)
    return line[:at] + chance.choice((b"A", b"4", b"\x00", b"\xff", b'"', b"a=1 ", b"/")) * size + line[at:]


def halve_hex(line: bytes, chance: random.Random) -> bytes:
    """Leave an odd digit, or letters that are none."""
    match = _HEX.search(line, _place(line, chance)) or _HEX.search(line)
    if match is None:
        return line
    digits = match[1]
    other = chance.choice((digits[:-1], digits.lower(), digits[:3], digits + b"G", b"0x" + digits, digits + b"00", b""))
    return line[: match.start(1)] + other + line[match.end(1) :]


def tail_enriched(line: bytes, chance: random.Random) -> bytes:
    tails = (
        b"", b"\x1d", b'\x1dARCH=x86_64 SYSCALL=openat AUID="root" UID="root"', b"\x1dSYSCALL=unknown-syscall(999)", b"\x1d\x1d",
        b"\x1dUID=\xff", b"\x1dSYSCALL=\x00", b' \x1dAUID="unset" UID="',
    )  # fmt: skip
    return line.partition(b"\x1d")[0] + chance.choice(tails)


def alter_stamp(line: bytes, chance: random.Random) -> bytes:
    """Another time, before or after; another serial; or no time at all."""
    match = _STAMP.search(line)
    if match is None:
        return line
    seconds, serial = int(match[1][:12] or b"0"), int(match[3][:20] or b"0")
    shift = chance.choice((-86_400, -3600, -5, -2, -1, 1, 2, 5, 3600, 86_400))
    stamp = chance.choice((
        b"audit(%d.%b:%d)" % (max(0, seconds + shift), match[2], serial),
        b"audit(%d.%b:%d)" % (seconds, match[2], serial + chance.choice((-1, 1, 100_000, 1 << 31, 1 << 63))),
        b"audit(%d.999:%d)" % (seconds, serial), b"audit(0.000:0)", b"audit(9999999999.000:1)", b"audit(99999999999999.000:1)",
        b"audit(%d:%d)" % (seconds, serial), b"audit(%d.%b)" % (seconds, match[2]), b"audit()", b"audit(-1.000:1)",
    ))  # fmt: skip
    return line[: match.start()] + stamp + line[match.end() :]


def alter_kind(line: bytes, chance: random.Random) -> bytes:
    return _KIND.sub(b"type=" + chance.choice(_TYPES), line, count=1)


def drop_field(line: bytes, chance: random.Random) -> bytes:
    return _within(_FIELD, line, chance, b"")


def shuffle_fields(line: bytes, chance: random.Random) -> bytes:
    words = line.split(b" ")
    chance.shuffle(words)
    return b" ".join(words)


def of_other_host(line: bytes, chance: random.Random) -> bytes:
    return chance.choice(_NODES) + line


_AUDIT: tuple[Mutator, ...] = (
    flip_bits, flip_bits, cut_end, cut_start, cut_middle, split_line, put_text, put_text, put_number, put_number, repeat_part,
    end_otherwise, halve_hex, tail_enriched, alter_stamp, alter_stamp, alter_kind, drop_field, shuffle_fields, of_other_host,
)  # fmt: skip


def _json_value(chance: random.Random) -> bytes:
    return chance.choice((
        b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"0", b"-0.0", b"12", b'"12"', b'""', b"[]", b"{}", b"[[[]]]", b'{"a":1}',
        b'"\\ud800"', b'"\\u0000"', b'"\xff"', b'"\\\\x0A"', b'"\\\\xZZ"', b"1" * 5000, b"[" * 3000 + b"]" * 3000, b'{"a":' * 3000,
        b'[{"target_path":"/a","action":"CREATED","time":"1"},5,{"target_path":"/b","action":"CREATED","time":"2"}]',
    ))  # fmt: skip


_VALUE = re.compile(rb'(?<=":)(?:"[^"]*"|[-0-9.]+|\{\}|\[\])')
_NAME = re.compile(rb'"[a-zA-Z_]+"(?=:)')
_PAIR = re.compile(rb'"[a-zA-Z_]+":(?:"[^"]*"|[-0-9.]+),?')
_NAMES = (b'"columns"', b'"diffResults"', b'"snapshot"', b'"action"', b'"target_path"', b'"time"', b'"added"', b'"removed"',
          b'"name"', b'"hostIdentifier"', b'"inode"', b'"path"', b'"operation"', b'"pid"', b'""')  # fmt: skip


def put_value(line: bytes, chance: random.Random) -> bytes:
    """A value of another type, or of none."""
    return _within(_VALUE, line, chance, _json_value(chance))


def put_name(line: bytes, chance: random.Random) -> bytes:
    return _within(_NAME, line, chance, chance.choice(_NAMES))


def drop_pair(line: bytes, chance: random.Random) -> bytes:
    return _within(_PAIR, line, chance, b"")


def double_pair(line: bytes, chance: random.Random) -> bytes:
    match = _PAIR.search(line, _place(line, chance)) or _PAIR.search(line)
    return line if match is None else line[: match.start()] + match[0].rstrip(b",") + b"," + line[match.start() :]


def as_number(line: bytes, chance: random.Random) -> bytes:
    """Numbers that are no texts, as with --logger_numerics, or texts that are no numbers."""
    return re.sub(rb'"([0-9]+)"', rb"\1", line) if chance.random() < 0.5 else re.sub(rb":([0-9]+)", rb':"\1"', line)


def replace_columns(line: bytes, chance: random.Random) -> bytes:
    at = line.find(b'"columns":')
    return line if at < 0 else line[: at + 10] + _json_value(chance) + b',"action":"added"}'


def nest_deep(line: bytes, chance: random.Random) -> bytes:
    depth = chance.choice((10, 500, 5000))
    return chance.choice((b"[" * depth + line + b"]" * depth, b'{"columns":' * depth + line + b"}" * depth, b"[" * depth))


_OSQUERY: tuple[Mutator, ...] = (
    flip_bits, flip_bits, cut_end, cut_start, cut_middle, split_line, put_text, put_text, put_number, put_number, repeat_part,
    end_otherwise, put_value, put_value, put_name, put_name, drop_pair, double_pair, as_number, replace_columns, nest_deep,
)  # fmt: skip


def _shuffled(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Double, drop, join or reorder whole lines, or let them alone."""
    at = int(chance.random() * len(lines))
    match int(chance.random() * 12):
        case 0:
            lines.insert(int(chance.random() * len(lines)), lines[at])
        case 1:
            chance.shuffle(lines)
        case 2 if len(lines) > 1:
            del lines[at]
        case 3:
            lines[at] += lines[int(chance.random() * len(lines))]
        case 4:
            lines[::2], lines[1::2] = lines[: (len(lines) + 1) // 2], lines[(len(lines) + 1) // 2 :]
        case 5:
            lines.insert(at, b"")
    return lines


def _mutate(seeds: Sequence[bytes], mutators: Sequence[Mutator], count: int, chance: random.Random) -> Iterator[tuple[bytes, int]]:
    """Give runs of lines, each with how many of them were altered, until so many were."""
    done = 0
    while done < count:
        start, size = int(chance.random() * len(seeds)), 1 + int(chance.random() * 12)
        lines = list(seeds[start : start + size])
        altered = 0
        for place, line in enumerate(lines):
            draw = chance.random()
            if draw < 0.7:
                mutator = make_long if draw < 0.0002 else mutators[int(chance.random() * len(mutators))]
                lines[place] = mutator(line, chance)
                altered += 1
                if draw > 0.6:
                    lines[place] = mutators[int(chance.random() * len(mutators))](lines[place], chance)
        yield b"\n".join(_shuffled(lines, chance)) + b"\n", altered
        done += altered


def _mutated(
    seeds: Sequence[bytes], mutators: Sequence[Mutator], count: int, chance: random.Random, move: Callable[[bytes, int], bytes]
) -> tuple[bytes, int]:
    runs, altered = [], 0
    for number, (run, some) in enumerate(_mutate(seeds, mutators, count, chance)):
        runs.append(move(run, number))
        altered += some
    return b"".join(runs), altered


def _move_stamps(run: bytes, number: int) -> bytes:
    """Let the log's clock go on in two runs of three: in the samples' own order all would be long past after the first."""
    if number % 3 == 0:
        return run
    match = _STAMP.search(run)
    if match is None:
        return run
    now = b"audit(%d.%03d:%d)" % (1_795_000_000 + number // 10, number % 1000, 1_000_000 + number)
    return run.replace(match[0], now)


def mutate_audit(count: int, seed: int) -> tuple[bytes, int]:
    """Make a log with at least so many altered records, among others that are whole.

    Returns:
        The text, which ends at the end of a line, and how many records were altered.
    """
    return _mutated(SEEDS_AUDIT, _AUDIT, count, random.Random(seed), _move_stamps)


def mutate_osquery(count: int, seed: int) -> tuple[bytes, int]:
    """Make an osquery results log with at least so many altered lines, among others that are whole.

    Returns:
        The text, which ends at the end of a line, and how many lines were altered.
    """
    return _mutated(SEEDS_OSQUERY, _OSQUERY, count, random.Random(seed), lambda run, number: run)
