"""The helper finds its place also by a broken configuration: a cut must be in force again whatever the file has become."""

from pathlib import Path

import pytest

from fimkit.model.errors import ConfigError
from fimkit.verbs.panic_helper import find_state_dir

__all__: list[str] = []


def find(text: str | None, folder: Path, said: list[str]) -> bytes:
    file = folder / "fimkit.toml"
    if text is not None:
        file.write_text(text)
    return find_state_dir(str(file), said.append, default_dir=bytes(folder / "default"))


def test_a_sound_configuration_is_followed_without_a_word(tmp_path: Path) -> None:
    said: list[str] = []
    assert find('[host]\nstate_dir = "/srv/fim"\n[[paths]]\npath = "/sbin"\n', tmp_path, said) == b"/srv/fim"
    assert said == []


def test_what_a_broken_one_says_of_the_folder_counts_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    assert find('[host]\nstate_dir = "/srv/fim"\n[panic]\nacton = "down"\n', tmp_path, said) == b"/srv/fim"
    assert any("acton" in words for words in said) and "goes on with state_dir /srv/fim" in said[-1]


@pytest.mark.parametrize("text", [None, "[[[", '[host]\nstate_dir = 7\n', 'host = 1\n'])
def test_without_a_word_on_the_folder_a_record_in_the_default_one_counts(tmp_path: Path, text: str | None) -> None:
    with pytest.raises(ConfigError):
        find(text, tmp_path, [])
    (tmp_path / "default/panic").mkdir(parents=True)
    (tmp_path / "default/panic/record.json").write_text("{")  # damaged: that is the helper's to say
    said: list[str] = []
    assert find(text, tmp_path, said) == bytes(tmp_path / "default")
    assert "goes on with the record" in said[-1]
