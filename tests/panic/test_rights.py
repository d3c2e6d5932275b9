import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.model.errors import UsageError
from fimkit.panic.rights import RIGHTS, drop_rights, held_rights

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: there is nothing to drop without rights")


def in_child(program: str, **more: object) -> dict[str, object]:
    """Rights that are dropped stay so: each try in a process of its own."""
    text = "import json, os, subprocess, sys\nfrom fimkit.panic.rights import drop_rights, held_rights\n" + program
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


STATUS = "{line.split(':')[0]: int(line.split()[1], 16) for line in open('/proc/self/status') if line.startswith('Cap')}"
OF_A_PROGRAM = "subprocess.run(['grep', '-E', '^(Cap|NoNew)', '/proc/self/status'], capture_output=True, text=True).stdout"


def bits(*names: str) -> int:
    return sum(1 << RIGHTS.index(name) for name in names)


@as_root
def test_what_is_kept_is_all_that_is_held() -> None:
    seen = in_child(f"drop_rights(['AUDIT_READ', 'cap_dac_read_search'])\nprint(json.dumps({STATUS}))")
    kept = bits("AUDIT_READ", "DAC_READ_SEARCH")
    assert (seen["CapEff"], seen["CapPrm"], seen["CapBnd"]) == (kept, kept, kept)
    assert (seen["CapInh"], seen["CapAmb"]) == (0, 0)


@as_root
def test_a_dropped_right_is_refused_by_the_kernel() -> None:
    program = """
drop_rights(['CHOWN'])
try:
    os.setgroups([])
    print(json.dumps({'gone': False}))
except PermissionError:
    print(json.dumps({'gone': True}))
"""
    assert in_child(program) == {"gone": True}


@as_root
def test_a_program_of_root_does_not_get_it_back() -> None:
    seen = in_child(f"drop_rights(['KILL'])\nprint(json.dumps({{'text': {OF_A_PROGRAM}}}))")
    assert f"CapEff:\t{bits('KILL'):016x}" in str(seen["text"])


@as_root
def test_nor_where_the_bounding_set_cannot_be_changed() -> None:
    program = f"""
drop_rights(['KILL', 'NET_ADMIN'])
import ctypes
drop_rights(['KILL'])
print(json.dumps({{'text': {OF_A_PROGRAM}}}))
"""
    text = str(in_child(program)["text"])
    assert f"CapEff:\t{bits('KILL'):016x}" in text
    assert f"CapBnd:\t{bits('KILL', 'NET_ADMIN'):016x}" in text
    assert "NoNewPrivs:\t1" in text


@as_root
def test_what_is_not_held_is_not_gained() -> None:
    program = "drop_rights(['KILL'])\nprint(json.dumps({'held': sorted(drop_rights(['KILL', 'NET_ADMIN']))}))"
    assert in_child(program) == {"held": ["KILL"]}


@as_root
def test_a_member_gives_its_files_to_the_group_without_the_right_to_give_files_away(tmp_path: Path) -> None:
    program = f"""
from fimkit.panic.rights import join_group
join_group(-1)
before = os.getgroups()
join_group(64123)
drop_rights([])
path = {str(tmp_path / "file")!r}
open(path, 'w').close()
os.chown(path, -1, 64123)
try:
    os.chown(path, -1, 64124)
except PermissionError:
    print(json.dumps({{'group': os.stat(path).st_gid, 'before': before, 'now': os.getgroups()}}))
"""
    seen = in_child(program)
    assert seen["group"] == 64123
    assert seen["now"] == [*seen["before"], 64123]  # type: ignore[misc]


def test_a_user_without_rights_drops_nothing_and_is_not_hindered() -> None:
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    readable = {"cwd": Path(__file__).parents[2]}
    assert in_child("print(json.dumps({'held': sorted(drop_rights(['AUDIT_READ']))}))", **user, **readable) == {"held": []}


def test_an_unknown_name_drops_nothing() -> None:
    before = held_rights()
    with pytest.raises(UsageError, match="'AUDIT_RED' is no capability"):
        drop_rights(["AUDIT_RED"])
    assert held_rights() == before


@pytest.mark.skipif(not Path("/usr/include/linux/capability.h").exists(), reason="needs the kernel's headers (linux-libc-dev)")
def test_the_names_are_those_of_the_kernels_header() -> None:
    numbers = {}
    for line in Path("/usr/include/linux/capability.h").read_text().splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == "#define" and words[1].startswith("CAP_") and words[2].isdigit():
            numbers[words[1].removeprefix("CAP_")] = int(words[2])
    assert numbers == {name: number for number, name in enumerate(RIGHTS)}
