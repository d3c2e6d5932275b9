"""File capabilities as text: encoded as setcap encodes them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.errors import PackageError
from fimkit.packages.capabilities import CAPABILITY, encode_capabilities

__all__: list[str] = []


@pytest.mark.skipif(not shutil.which("setcap"), reason="asks setcap itself")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give capabilities")
@pytest.mark.parametrize(
    "text",
    [
        "cap_net_raw=ep",
        "cap_net_raw+ep",
        "= cap_net_raw+ep",
        "cap_dac_override,cap_sys_admin=ep",
        "cap_setuid=p",
        "cap_setuid=i",
        "cap_setgid=eip",
        "cap_bpf,cap_perfmon,cap_chown=ep",
        "cap_audit_read=ep cap_kill+ep",
        "cap_chown,cap_kill=ep cap_kill-ep",
        "all=ep cap_checkpoint_restore-ep",
    ],
)
def test_the_kernel_keeps_what_setcap_makes_of_the_same_text(text: str, tmp_path: Path) -> None:
    (tmp_path / "program").touch()
    done = subprocess.run(["setcap", text, tmp_path / "program"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert encode_capabilities(text) == os.getxattr(tmp_path / "program", CAPABILITY)


@pytest.mark.parametrize("text", ["cap_fly=ep", "cap_kill", "ep", "cap_kill=ep,cap_chown", "cap_kill=x", "cap_kill=ep cap_chown=p"])
def test_what_are_no_capabilities_of_a_file_is_refused(text: str) -> None:
    with pytest.raises(PackageError):
        encode_capabilities(text)


@given(st.text(alphabet="capkilwn_=+-eip, ", max_size=30))
def test_any_text_is_encoded_or_refused(text: str) -> None:
    try:
        assert len(encode_capabilities(text)) == 20
    except PackageError:
        assert text
