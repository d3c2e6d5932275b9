"""Names of system calls."""

import pytest

from fimkit.audit.calls import CALLS
from fimkit.audit.syscalls import AARCH64, I386, X86_64, io_uring_name, syscall_name

# Names that audit-userspace 3.0 spells in its own way, of calls that all exist in the headers under ours.
SPELLED_OTHERWISE = {
    "pread64": "pread", "pwrite64": "pwrite", "getdents64": "getdents", "fstat": "newfstat", "kexec_load": "sys_kexec_load",
    "sched_rr_get_interval_time64": "sched_rr_get_interval64", "sync_file_range2": "sync_file_range",
}  # fmt: skip


@pytest.mark.parametrize(("arch", "machine"), [(X86_64, "MACH_86_64"), (I386, "MACH_X86"), (AARCH64, "MACH_AARCH64")])
def test_names_are_those_of_the_audit_library(arch: int, machine: str) -> None:
    audit = pytest.importorskip("audit", reason="the audit binding is not installed (python3-audit)")
    different = {}
    for number in range(600):
        theirs = audit.audit_syscall_to_name(number, getattr(audit, machine))
        ours = syscall_name(arch, number)
        if theirs is not None and theirs not in (ours, SPELLED_OTHERWISE.get(ours)):
            different[number] = (ours, theirs)
    assert different == {}


def test_every_call_that_changes_files_is_in_a_table() -> None:
    named = {syscall_name(arch, number) for arch in (X86_64, I386, AARCH64) for number in range(600)}
    named |= {"io_uring:" + io_uring_name(number) for number in range(100)}
    assert set(CALLS) - named == set()


def test_unknown_number_is_its_text() -> None:
    assert syscall_name(X86_64, 100_000) == "100000"
    assert syscall_name(0, 1) == "1"
    assert io_uring_name(200) == "200"


def test_calls_newer_than_the_audit_library_share_one_number() -> None:
    assert {syscall_name(arch, 452) for arch in (X86_64, I386, AARCH64)} == {"fchmodat2"}
    assert {syscall_name(arch, 463) for arch in (X86_64, I386, AARCH64)} == {"setxattrat"}
