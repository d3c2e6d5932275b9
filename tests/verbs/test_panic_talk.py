"""The runner's side of the line: whole messages, in whatever parts they come, and a guard that does not read holds up nothing."""

import json
import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fimkit.verbs.panic_talk import Talk

__all__: list[str] = []


def read_all(talk: Talk) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while not talk.ended:
        rows += talk.exchange(1.0)
    return rows


@given(st.lists(st.dictionaries(st.text(), st.integers()), max_size=5), st.integers(1, 7))
def test_messages_are_whole_in_whatever_parts_they_come(rows: list[dict[str, int]], size: int) -> None:
    here, there = socket.socketpair()
    with here, there:
        raw = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        talk, found = Talk(here), list[dict[str, Any]]()
        for start in range(0, len(raw), size):
            there.send(raw[start : start + size])
            found += talk.exchange(1.0)
        there.shutdown(socket.SHUT_WR)
        assert found + read_all(talk) == rows


def test_what_is_no_message_is_said_and_the_next_one_is_read() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.send(b'{"do": \n[1]\n{"do": "end"}\n')
        there.shutdown(socket.SHUT_WR)
        talk = Talk(here)
        assert read_all(talk) == [{"do": "end"}]
        talk.flush()
        said = [json.loads(line)["say"] for line in there.recv(1 << 16).splitlines()]
        assert len(said) == 2 and "what is no message: b'{" in said[0]


def test_words_for_a_guard_that_does_not_read_are_dropped_at_last_and_answers_are_not() -> None:
    here, there = socket.socketpair()
    with here, there:
        talk = Talk(here)
        for number in range(20_000):
            talk.say("x" * 1000 + str(number))
        talk.put({"done": 1, "panic": None})
        talk.flush()
        raw, there_was = bytearray(), 0
        there.settimeout(10)
        while b'"done"' not in raw[-100:]:
            raw += there.recv(1 << 20)
            talk.flush()
            there_was += 1
        assert raw.count(b"\n") < 3000
