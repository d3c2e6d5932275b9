"""The line of a key is found in any document that the parser accepts."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.config_lines import Place, find_lines, line_of

__all__: list[str] = []


def test_brackets_and_quotes_inside_values_and_comments_are_no_headers() -> None:
    text = """# [comment]
[host] # ] [[
name = "[x]" # "
words = '''
[not]
a = 1
'''
more = \"\"\"a \\\"\"\" [[b]]
\"\"\"
list = [ # [
  ["[", ']'],
  {a = 1},
]
"quoted key" . inner = 1
last = 1"""
    tomllib.loads(text)
    assert find_lines(text) == {
        ("host",): 2, ("host", "name"): 3, ("host", "words"): 4, ("host", "more"): 8, ("host", "list"): 10,
        ("host", "quoted key"): 14, ("host", "quoted key", "inner"): 14, ("host", "last"): 15,
    }  # fmt: skip


def test_a_table_below_an_array_belongs_to_its_last_element() -> None:
    lines = find_lines("[[a]]\n[[a]]\n[a.b]\nc = 1\n[[a.d]]\n[[a.d]]\ne = 1\n")
    assert lines[("a", 1, "b", "c")] == 4
    assert lines[("a", 1, "d", 1, "e")] == 7


def test_a_place_in_an_inline_table_is_on_the_line_of_its_key() -> None:
    assert line_of(find_lines('\npaths = [{path = "/a"}]\n'), ("paths", 0, "path")) == 2
    assert line_of({}, ("paths",)) is None


_KEYS = st.text("ab_-", min_size=1, max_size=2)


@given(st.lists(st.tuples(st.sampled_from(["key", "table", "element"]), _KEYS, st.integers(0, 3)), max_size=12))
def test_every_key_of_a_drawn_document_is_found_on_its_line(rows: list[tuple[str, str, int]]) -> None:
    lines: list[str] = []
    for kind, key, blank in rows:
        lines += ["# [x]"] * blank
        lines.append({"key": f"{key} = [\n '''[a]\n''' ]", "table": f"[{key}]", "element": f"[[{key}]]"}[kind])
    text = "\n".join(lines)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found, split = find_lines(text), text.split("\n")
    for place in _places(document, ()):
        line = line_of(found, place)
        assert line is not None
        assert str(next(part for part in reversed(place) if isinstance(part, str))) in split[line - 1]


def _places(value: object, place: Place) -> list[Place]:
    if isinstance(value, dict):
        return [deeper for key, inner in value.items() for deeper in [(*place, key), *_places(inner, (*place, key))]]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [deeper for index, inner in enumerate(value) for deeper in _places(inner, (*place, index))]
    return []
