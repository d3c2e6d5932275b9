"""Completion and the manual page: made of the arguments themselves, and tried with the programs that read them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.cli import VERBS

__all__: list[str] = []

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
complete -p fimkit | grep -o -- '-F [^ ]*' | {
    read -r _ name
    "$name" fimkit "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    printf '%s\\n' "${COMPREPLY[@]}"
}
"""


def fimkit(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "fimkit", *words], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("completion") / "fimkit"
    file.write_text(fimkit("completion", "bash"))
    return file


def answers(script: Path, *words: str) -> set[str]:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    done = subprocess.run([bash, "-c", ASK, "bash", script, *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes_every_verb(script: Path) -> None:
    assert set(VERBS) <= answers(script, "fimkit", "")
    assert answers(script, "fimkit", "ex") == {"expect", "export", "extension"}


def test_bash_completes_options_and_their_choices(script: Path) -> None:
    assert {"--format", "--follow", "--cursor"} <= answers(script, "fimkit", "export", "--")
    assert answers(script, "fimkit", "export", "--format", "") == {"jsonl", "csv", "parquet", "ecs", "ocsf", "osquery"}
    assert {"create", "show", "diff", "accept", "pin"} <= answers(script, "fimkit", "baseline", "")


def test_bash_completes_files_where_a_file_is_meant(script: Path, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("")
    assert answers(script, "fimkit", "--config", f"{tmp_path}/o") == {f"{tmp_path}/one.toml"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_the_same_words(shell: str, tmp_path: Path) -> None:
    text = fimkit("completion", shell)
    for word in (*VERBS, "follow", "cursor", "ocsf"):
        assert word in text
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"needs {shell} for its own look at it")
    (tmp_path / "script").write_text(text)
    done = subprocess.run([program, "-n", tmp_path / "script"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_manual_says_every_verb_and_option() -> None:
    page = fimkit("man")
    for verb in VERBS:
        assert f'.SS "fimkit {verb}"' in page
    for word in ("fimkit baseline accept", "\\-\\-cursor\\fR \\fIFILE", "NO_COLOR", "/etc/fimkit/fimkit.toml"):
        assert word in page
    assert not re.search(r"^'|\x1b", page, re.MULTILINE)


def test_groff_reads_the_manual_without_a_complaint() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("needs groff")
    done = subprocess.run(
        [groff, "-man", "-ww", "-Tascii", "-P-c"], input=fimkit("man"), capture_output=True, text=True, check=False, timeout=60
    )
    if "can't open" in done.stderr or "cannot open" in done.stderr or "fatal" in done.stderr:
        pytest.skip(f"groff has no macros here: {done.stderr.splitlines()[0]}")
    assert (done.returncode, done.stderr) == (0, "")
    plain = re.sub(r".\x08", "", done.stdout)
    assert "--follow" in plain and "EXIT STATUS" in plain
