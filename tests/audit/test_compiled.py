"""The compiled way through the commonest events, beside the Python way: the same events, in the same order, counted alike."""

import gc
import hashlib
import json
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.audit import compiled
from fimkit.audit.compiled import REVISION, Way, best_way, why_python
from fimkit.audit.logfile import load_events
from fimkit.audit.parser import EventAssembler
from fimkit.model.records import AuditEvent
from tests.audit.lines import LOGS, call_line, event_lines, path_line, record
from tests.audit.test_parser import SAMPLE, T0, mutate

if best_way() is not Way.COMPILED:
    pytest.skip("the compiled loop was not built here (no compiler, or no headers of this Python)", allow_module_level=True)

INTERESTING = [*(bytes([byte]) for byte in b'\n ="\x1d\x00\xff09aAg():.-'), b"node=x ", b""]


def read(text: bytes, way: Way, *, max_open: int = 16384, window_ms: int = 2000) -> tuple[list[AuditEvent], EventAssembler]:
    assembler = EventAssembler(way=way, max_open=max_open, window_ms=window_ms)
    return [*assembler.push(text, file="a.log", line=3), *assembler.flush()], assembler


def assert_alike(text: bytes, *, max_open: int = 16384, window_ms: int = 2000) -> None:
    ours, compiled = read(text, Way.COMPILED, max_open=max_open, window_ms=window_ms)
    expected, python = read(text, Way.PYTHON, max_open=max_open, window_ms=window_ms)
    assert ours == expected
    assert [list(map(type, flat(event))) for event in ours] == [list(map(type, flat(event))) for event in expected]
    assert compiled.bad == python.bad
    assert compiled.counters == python.counters


def flat(value: object) -> list[object]:
    return [value, *(inner for part in value for inner in flat(part))] if isinstance(value, tuple) else [value]


def text_of(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def taken_whole(lines: list[bytes]) -> bool:
    """Whether the compiled loop takes all lines, and leaves none to the Python way."""
    assembler = EventAssembler(way=Way.COMPILED)
    blocks, text = assembler._blocks, text_of(lines)
    assert blocks is not None
    return blocks.take(text, 0, 1, "a.log", {}, {}, {}, {}, 0, 1 << 50, 100)[0] == len(text)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: str(log.parent.name + "-" + log.stem))
def test_real_logs_are_read_alike(log: Path) -> None:
    assert_alike(log.read_bytes())
    compiled, python = (load_events([log], way=way) for way in (Way.COMPILED, Way.PYTHON))
    assert list(compiled) == list(python)
    assert (compiled.cursor, compiled.counters) == (python.cursor, python.counters)


def test_most_of_a_real_log_is_taken() -> None:
    assembler = EventAssembler(way=Way.COMPILED)
    blocks, text = assembler._blocks, LOGS[0].read_bytes()
    assert blocks is not None
    young: dict[bytes, AuditEvent] = {}
    position, line = 0, 1
    while True:
        position, line, _, why, _ = blocks.take(text, position, line, "a.log", young, {}, {}, {}, 0, 1 << 50, 1 << 20)
        if not why:
            break
        position, line = text.index(b"\n", position) + 1, line + 1
    assert line == text.count(b"\n") + 1
    assert len(young) > 1400


@settings(max_examples=600, deadline=None)
@given(st.integers(0, len(SAMPLE) - 40), st.integers(1, 40), st.randoms(use_true_random=False), st.sampled_from([2, 6, 16384]))
def test_broken_logs_are_read_alike(start: int, count: int, shuffler: random.Random, max_open: int) -> None:
    lines = SAMPLE[start : start + count]
    assert_alike(text_of(mutate(lines, shuffler)), max_open=max_open, window_ms=shuffler.choice([1, 50, 2000]))


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_events_with_bytes_changed_are_read_alike(data: st.DataObject) -> None:
    node = data.draw(st.sampled_from(["", "", "h", "h\x1d"]))
    lines = [line for serial in range(3) for line in event_lines(serial=serial, time_ms=T0 + 900 * serial, node=node)]
    text = bytearray(text_of(lines))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(INTERESTING))
    assert_alike(bytes(text))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 4))
def test_any_bytes_inside_an_event_are_read_alike(noise: bytes, place: int) -> None:
    lines = event_lines()
    lines[place] += noise
    assert_alike(text_of(lines + event_lines(serial=2)))


NAMES = ['""', "(null)", "2F612062", "2f612062", "2F6", "2G", '"/a b"', '"/a', "(nul)", "-", '"(null)"', "00", '"\x1d"', "\x1d"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("item", [0, 1])
def test_every_way_to_write_a_name(name: str, item: int) -> None:
    lines = event_lines()
    lines[2 + item] = lines[2 + item].replace(b'"/srv/f1"' if item else b'"/srv/"', name.encode())
    assert_alike(text_of(lines))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"items=2", b"items=02"), (b"items=2", b"items=3"), (b"items=2", b"items=1"), (b"items=2", b"items="),
        (b"items=2", b"items=64"), (b"items=2", b"items=99999999999999999999"), (b"a0=ffffff9c", b"a0=fffffffffffffffff"),
        (b"a0=ffffff9c", b"a0=ffffffffffffffff"), (b"a1=7f00", b"a1=7F00"), (b"a1=7f00", b"a1="), (b" a3=1b6", b""),
        (b"pid=10", b"pid=4294967295"), (b"pid=10", b"pid=1000000000"), (b"ppid=9", b"ppid="), (b"ppid=9 pid=10", b"ppid=9"),
        (b":1)", b":999999999999999999)"), (b":1)", b":9999999999999999999)"), (b":1)", b":99999999999999999999)"),
        (b":1)", b":01)"), (b"(1795314095", b"(0795314095"), (b"(1795314095", b"(9795314095"), (b"(1795314095", b"(179531409"),
        (b".180", b".18"), (b".180", b".1800"), (b"item=1", b"item=0"), (b"item=1", b"item=01"), (b"item=1", b"item=2"),
        (b"item=0", b"item=00"), (b"inode=101", b"inode=9999999999999999999"), (b"inode=101", b"inode=999999999999999999"),
        (b"inode=101 ", b""), (b"auid=1000", b"auid=4294967295"), (b"auid=1000", b"auid=-1"), (b"auid=1000", b"auid=x"),
        (b'key="fim"', b"key=(null)"), (b'key="fim"', b"key=6669016D"), (b" success=yes", b""),
        (b"success=yes", b"success=maybe"), (b"syscall=257", b"syscall=99999"), (b"syscall=257", b"syscall="),
        (b"arch=", b"arc="), (b"proctitle=6370002F61002F62", b"proctitle="), (b"proctitle=6370002F61002F62", b""),
        (b'cwd="/root"', b""), (b'cwd="/root"', b"cwd=(null)"), (b'cwd="/root"', b"cwd=/root"),
        (b"nametype=CREATE", b"nametype=OTHER"), (b"\n", b"\r\n"), (b"\n", b"\n\n"), (b"type=CWD", b"type=1307"),
        (b"type=PATH", b"type=PATHS"), (b"pid=10 ", b"pid=10\x1d"),
    ],
)  # fmt: skip
def test_values_at_their_limits(old: bytes, new: bytes) -> None:
    text = text_of(event_lines() + event_lines(serial=2, time_ms=T0 + 1))
    assert old in text
    for node in (b"", b"node=web01 "):
        whole = b"".join(node + line + b"\n" for line in text.splitlines())
        assert_alike(whole.replace(old, new))
        assert_alike(whole.replace(old, new, 1))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 62, 63, 64, 99, 200])
def test_any_number_of_paths(count: int) -> None:
    paths = [path_line(item, f"/srv/{item}", item + 1, "NORMAL") for item in range(count)]
    lines = [call_line(items=count), *paths, record("PROCTITLE", 'proctitle="cp"')]
    assert_alike(text_of(lines))
    assert_alike(text_of(lines[:1] + lines[1:-1][::-1] + lines[-1:]))
    assert taken_whole(lines) is (count < 64)


def test_long_texts_are_read_and_not_kept_for_ever() -> None:
    for size in (1000, 1100, 8000, 9000, 70_000):
        for serial in range(3):
            lines = event_lines(serial=serial)
            lines[3] = path_line(1, "/srv/" + "n" * size, 8, "CREATE", serial=serial)
            lines[2] = path_line(0, "/" + "f" * size, 7, "PARENT", serial=serial)
            lines[1] = record("CWD", f'cwd="/{"c" * size}"', serial=serial)
            lines[4] = record("PROCTITLE", f'proctitle="{"t" * size}"', serial=serial)
            assert_alike(text_of(lines))


def test_a_piece_may_end_anywhere() -> None:
    text = text_of(event_lines(node="h") + event_lines(serial=2))
    for end in range(len(text)):
        assert_alike(text[:end])


def test_more_processes_and_folders_than_are_remembered() -> None:
    lines = []
    for serial in range(9000):
        one = event_lines(serial=serial, time_ms=T0 + serial)
        one[0] = one[0].replace(b"pid=10 ", b"pid=%d " % (serial * 7919 % 9001))
        one[2] = path_line(0, f"/srv/{serial * 31 % 6007}", serial * 31 % 6007, "PARENT", serial=serial, time_ms=T0 + serial)
        lines += one
    assert_alike(text_of(lines))


def test_nothing_is_left_behind() -> None:
    text = LOGS[0].read_bytes()
    read(text, Way.COMPILED)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(3):
        read(text, Way.COMPILED)
    gc.collect()
    assert len(gc.get_objects()) - before < 500


def test_a_position_outside_is_refused() -> None:
    blocks = EventAssembler(way=Way.COMPILED)._blocks
    assert blocks is not None
    for position in (-1, 2):
        with pytest.raises(ValueError, match="outside"):
            blocks.take(b"\n", position, 1, "f", {}, {}, {}, {}, 0, 0, 1)


def test_an_error_of_a_reader_is_told_and_the_loop_can_be_used_again() -> None:
    assembler = EventAssembler(way=Way.COMPILED)
    kind = type(assembler._blocks)

    def fail(_text: bytes) -> tuple[object, ...]:
        raise KeyboardInterrupt

    def wrong(_text: bytes) -> tuple[object, ...]:
        return ()

    types = tuple(("SYSCALL",) for _ in range(64))
    text = text_of(event_lines())
    for reader, error in ((fail, KeyboardInterrupt), (wrong, TypeError)):
        blocks = kind(*[tuple] * 5, *[types] * 4, *[reader] * 7)  # type: ignore[call-overload,arg-type]
        for _ in range(2):
            young: dict[bytes, AuditEvent] = {}
            with pytest.raises(error):
                blocks.take(text, 0, 1, "f", young, {}, {}, {}, 0, 1 << 50, 9)
            assert young == {}


def test_other_than_named_tuples_are_refused() -> None:
    kind = type(EventAssembler(way=Way.COMPILED)._blocks)
    types = tuple(("SYSCALL",) for _ in range(64))
    with pytest.raises(TypeError):
        kind(list, *[tuple] * 4, *[types] * 4, *[len] * 7)  # type: ignore[call-overload,arg-type]
    with pytest.raises(TypeError):
        kind(*[tuple] * 5, *[()] * 4, *[len] * 7)  # type: ignore[call-overload,arg-type]
    kind(*[tuple] * 5, *[types] * 4, *[len] * 7)  # type: ignore[call-overload,arg-type]


def test_a_change_of_the_sources_raises_the_revision() -> None:
    digests = json.loads((Path(__file__).parents[1] / "data" / "audit" / "blocks-revisions.json").read_text())
    source = Path(compiled.__file__).with_name("_blocks.c").read_bytes()
    assert digests[str(REVISION)] == hashlib.sha256(source).hexdigest(), "raise REVISION in both files, and note the digest"
    assert b"#define REVISION %d " % REVISION in source
    assert list(digests) == [str(number) for number in range(2, REVISION + 1)]


def test_a_module_built_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    older = ModuleType("fimkit.audit._blocks")
    monkeypatch.setitem(sys.modules, "fimkit.audit._blocks", older)
    for revision in (None, REVISION - 1, REVISION + 1):
        if revision is not None:
            older.REVISION = revision  # type: ignore[attr-defined]
        assert best_way() is Way.PYTHON
        assert f"revision {revision}, not {REVISION}" in (why_python() or "")
    monkeypatch.undo()
    assert why_python() is None


def _execve_lines(body: str, *, serial: int = 1, time_ms: int = T0) -> list[bytes]:
    lines = event_lines(serial=serial, time_ms=time_ms)
    lines[0] = lines[0].replace(b"syscall=257", b"syscall=59")
    return [lines[0], record("EXECVE", body, serial=serial, time_ms=time_ms), *lines[1:]]


ARGUMENTS = [
    'argc=2 a0="cp" a1="-r"', 'argc=1 a0=2F612062', "argc=0", 'argc=1 a0=""', "argc=1 a0=(null)", 'argc=2 a0="cp"', "argc=1",
    'argc=1 a0="cp" a1="x"', 'argc=2 a1="x" a0="cp"', 'argc=1 a00="cp"', 'argc=01 a0="cp"', 'argc=1 a0="c p"', 'argc=1 a0="cp"x',
    'argc=1 a0="cp" x', 'argc=1  a0="cp"', 'argc=1 a0=', 'argc=1 a0=2f6', 'argc=1 a0=cp', 'argc=1 a0="c\x1dp"',
    'argc=1 a0="cp"\x1dU="x"', 'argc=2 a0="cp" a1_len=6 a1[0]="xyz" a1[1]="abc"', 'a1="x"', 'argc=99999 a0="x"',
    'argc=99999999999 a0="x"', 'argc=-1', 'argc=', "argc=12 " + " ".join(f'a{number}="{number}"' for number in range(12)),
    'argc=1 a0="cp"\r', 'argc=1 a0=2F\r', "",
]  # fmt: skip


@pytest.mark.parametrize("body", ARGUMENTS)
def test_every_way_to_write_arguments(body: str) -> None:
    assert_alike(text_of([*event_lines(), *_execve_lines(body, serial=2), *event_lines(serial=3)]))
    assert_alike(text_of([*_execve_lines(body, serial=2), record("EXECVE", 'a1="more"', serial=2), *event_lines(serial=3)]))


def test_a_program_with_plain_arguments_is_taken_whole() -> None:
    lines = _execve_lines('argc=3 a0="cp" a1=2F612062 a2=(null)')
    assert taken_whole(lines)
    events, _ = read(text_of(lines), Way.COMPILED)
    assert events[0].process is not None
    assert events[0].process.argv == (b"cp", b"/a b", b"")


FLAGS = [
    "oflag=0101 mode=0644 resolve=0x0", "oflag=0 mode=0", "oflag=", "oflag=8 mode=0", "oflag=07 word mode=0", "oflag=07",
    "oflag=07x mode=0", "mode=0 oflag=07", "oflag=077777777777777777777 mode=0", "oflag=1777777777777777777777 mode=0",
    "oflag=7777777777777777777777 mode=0", "oflag=07 oflag=01 mode=0", "oflag=07 mode=0\x1dX=1", "oflag=07 mode=0\r", "",
]  # fmt: skip


@pytest.mark.parametrize("body", FLAGS)
def test_every_way_to_write_flags(body: str) -> None:
    lines = event_lines()
    for place in (1, 2):
        other = [*lines[:place], record("OPENAT2", body), *lines[place:]]
        assert_alike(text_of(other + event_lines(serial=2)))


SINGLES = [
    record("USER_LOGIN", "pid=1 msg='op=login'"), record("USER", ""), record("A", "x\x1dUID=\"root\""), record("CWD", 'cwd="/"'),
    record("EOE", ""), record("PROCTITLE", 'proctitle="x"'), record("EXECVE", 'argc=1 a0="x"'),
    record("OPENAT2", "oflag=0 mode=0"), record("URINGOP", "uring_op=18 ppid=1 pid=2 uid=0"), record("SYSCALL", "x"),
    record("USER", "x\r"), record("USER", "\r"), record("USER", "\x1d"), record("1300", "x"), record("1112", "x"),
    record("UNKNOWN[1337]", "x"), record("_A", "x"), record("9A", "x"), record("a", "x"), record("U" * 64, "x"),
    record("U" * 65, "x"), b"node=h " + record("USER", "y"), b"node= " + record("USER", "y"),
    record("USER", "z").replace(b": z", b":z"), record("USER", "z").replace(b": z", b":  z"),
    record("USER", "z").replace(b"): z", b")z"), record("USER", "z").replace(b"audit(1", b"audit(01"),
    record("USER", "z").replace(b" msg", b"  msg"), record("USER", "\x00\xff"),
]  # fmt: skip


@pytest.mark.parametrize("line", SINGLES)
def test_single_records_of_every_kind(line: bytes) -> None:
    for lines in (
        [line], [line, line], [line, *event_lines()], [*event_lines(), line],
        [*event_lines()[:2], line, *event_lines()[2:]],
        [*event_lines(serial=2), line, *event_lines(serial=3), *event_lines(), line],
    ):  # fmt: skip
        assert_alike(text_of(lines))
        assert_alike(text_of(lines), max_open=2)


MIXED = [
    *(record("USER", "hello", serial=serial, time_ms=T0 + 300 * serial) for serial in range(4)),
    *(line for serial in range(4) for line in event_lines(serial=serial, time_ms=T0 + 300 * serial)),
    *(line for serial in (4, 5) for line in _execve_lines('argc=1 a0="x"', serial=serial, time_ms=T0 + 300 * serial)),
    *(record("EOE", "", serial=serial, time_ms=T0 + 300 * serial) for serial in range(6)),
]


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(MIXED) - 1), st.integers(1, 7)), max_size=24), st.sampled_from([2, 4, 6, 16, 16384]),
    st.sampled_from([1, 300, 900, 2000]),
)  # fmt: skip
def test_held_events_among_others_are_given_out_alike(picks: list[tuple[int, int]], max_open: int, window_ms: int) -> None:
    lines = [line for start, count in picks for line in MIXED[start : start + count]]
    assert_alike(text_of(lines), max_open=max_open, window_ms=window_ms)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(MIXED) - 1), st.integers(1, 7)), min_size=1, max_size=24), st.data())
def test_what_is_left_open_at_the_end_of_a_live_log_is_alike(picks: list[tuple[int, int]], data: st.DataObject) -> None:
    lines = [line for start, count in picks for line in MIXED[start : start + count]]
    cut = data.draw(st.integers(0, len(lines)))
    seen = []
    for way in Way:
        first, second = EventAssembler(way=way), EventAssembler(way=way)
        given_out = first.push(text_of(lines[:cut]), file="a.log", line=1) if cut else []
        settled = first.settle()
        left = first.pending()
        again = second.restore(left)
        rest = second.push(text_of(lines[cut:]), file="a.log", line=cut + 1) if cut < len(lines) else []
        seen.append((given_out, settled, left, again, rest, second.flush(), first.counters, second.counters, first.pending()))
    assert seen[0] == seen[1]
