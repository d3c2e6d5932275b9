"""A Debian of its own below a folder: real dpkg-deb, apt-ftparchive, apt-get and dpkg, a repository signed by a key of the test.

Nothing of this machine's packages is touched: every tool gets the folder as its root.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pysequoia import ArmorKind, SignatureMode, Tsk, armor, sign

from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
from fimkit.model.states import FileState
from fimkit.packages.collect import collect_pins
from fimkit.packages.pins import PackagePins
from fimkit.packages.proof import Proof
from fimkit.packages.proofs import PackageProofs
from fimkit.packages.sources import gather_package_sources

__all__ = ["NEEDS_DEBIAN", "DebWorld", "make_key", "run"]

_TOOLS = ("dpkg", "dpkg-deb", "apt-get", "apt-ftparchive")
NEEDS_DEBIAN = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: dpkg gives files their owners"),
    pytest.mark.skipif(
        not all(map(shutil.which, _TOOLS)), reason=f"needs {', '.join(_TOOLS)}: Debian's dpkg, apt and apt-utils"
    ),
]
_ENV = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=_ENV, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def make_key(name: str = "test") -> Tsk:
    return Tsk.generate(user_id=f"{name} <{name}@example.org>")


class DebWorld:
    """The folder ``root`` is the host; ``pool`` is what the repository has."""

    def __init__(self, folder: Path, key: Tsk) -> None:
        self.folder = folder
        self.key = key
        self.root = folder / "root"
        self.repo = folder / "repo"

    def create(self) -> "DebWorld":
        for name in ("usr/bin", "usr/sbin", "usr/lib", "etc/apt/trusted.gpg.d", "etc/apt/sources.list.d", "etc/apt/apt.conf.d",
                     "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial",
                     "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/alternatives", "var/log"):  # fmt: skip
            (self.root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib"):
            (self.root / name).symlink_to(f"usr/{name}")
        (self.root / "var/lib/dpkg/status").touch()
        (self.repo / "pool").mkdir(parents=True)
        self.trust(self.key, "repo.asc")
        (self.root / "etc/apt/sources.list").write_text(f"deb copy:{self.repo} stable main\n")
        return self

    def copy(self, folder: Path) -> "DebWorld":
        run("cp", "-a", self.folder, folder)
        other = DebWorld(folder, self.key)
        (other.root / "etc/apt/sources.list").write_text(f"deb copy:{other.repo} stable main\n")
        return other

    def trust(self, key: Tsk, name: str) -> None:
        (self.root / "etc/apt/trusted.gpg.d" / name).write_text(
            armor(bytes(key.extract_certificate()), ArmorKind.PublicKey)
        )

    def build(
        self,
        name: str,
        version: str,
        files: Mapping[str, bytes | tuple[bytes, int] | str],
        *,
        conffiles: Sequence[str] = (),
        scripts: Mapping[str, str] | None = None,
        compression: str = "xz",
        folder: Path | None = None,
    ) -> Path:
        """Build a package. A file is its bytes, its bytes and mode, or the target of a symlink."""
        tree = self.folder / "build" / f"{name}_{version.replace(':', '-')}"
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <t@example.org>\nDescription: test\n"
        (tree / "DEBIAN/control").write_text(control)
        if conffiles:
            (tree / "DEBIAN/conffiles").write_text("".join(f"{one}\n" for one in conffiles))
        for script, text in (scripts or {}).items():
            (tree / "DEBIAN" / script).write_text(f"#!/bin/sh\nset -e\n{text}\n")
            (tree / "DEBIAN" / script).chmod(0o755)
        for path, what in files.items():
            place = tree / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(what, str):
                place.symlink_to(what)
                continue
            content, mode = what if isinstance(what, tuple) else (what, 0o755 if "/bin/" in path else 0o644)
            place.write_bytes(content)
            place.chmod(mode)
        deb = (folder or self.folder) / f"{name}_{version.replace(':', '%3a')}_all.deb"
        run("dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", tree, deb)
        return deb

    def publish(self, *debs: Path, key: Tsk | None = None, more_packages: bytes = b"") -> None:
        """Make the repository have exactly these packages, and sign it."""
        shutil.rmtree(self.repo)
        index = self.repo / "dists/stable/main/binary-amd64"
        index.mkdir(parents=True)
        (self.repo / "pool").mkdir()
        for deb in debs:
            shutil.copy(deb, self.repo / "pool")
        packages = subprocess.run(
            ["apt-ftparchive", "packages", "pool"], cwd=self.repo, check=True, capture_output=True, env=_ENV
        ).stdout
        (index / "Packages").write_bytes(packages + more_packages)
        options = [f"-oAPT::FTPArchive::Release::{name}" for name in
                   ("Suite=stable", "Codename=stable", "Components=main", "Architectures=amd64", "Origin=Test")]  # fmt: skip
        release = run("apt-ftparchive", *options, "release", self.repo / "dists/stable")
        signed = sign((key or self.key).signer(), release.encode(), mode=SignatureMode.CLEAR)
        (self.repo / "dists/stable/InRelease").write_bytes(signed)

    def apt(self, *words: str) -> str:
        places = [f"-oDir={self.root}", f"-oDir::State::status={self.root}/var/lib/dpkg/status", "-oAPT::Architecture=amd64"]
        more = ["-oAPT::Sandbox::User=root", "-oAPT::Architectures::=amd64", "-oAcquire::Languages=none", "-oDebug::NoLocking=1"]
        empty = {"APT_CONFIG": str(self.folder / "apt.conf")}
        # Dir comes too late for the parts of the machine's own configuration: a file that is read first says where they are
        Path(empty["APT_CONFIG"]).write_text(f'Dir::Etc::parts "{self.root}/etc/apt/apt.conf.d";\nDir::Etc::main "/dev/null";\n')
        done = subprocess.run(
            ["apt-get", "-q", "-y", *places, *more, *words], capture_output=True, text=True, check=False, env=_ENV | empty
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def update(self) -> None:
        self.apt("update")

    def fetch(self, *names: str) -> None:
        """Have apt download packages into its cache, as an upgrade does."""
        self.apt("--allow-downgrades", "--reinstall", "--download-only", "install", *names)

    def cached(self, name: str, version: str) -> Path:
        return self.root / f"var/cache/apt/archives/{name}_{version.replace(':', '%3a')}_all.deb"

    def install(self, *debs: Path, options: Sequence[str] = ()) -> None:
        self.dpkg("--install", *options, *map(str, debs))

    def dpkg(self, *words: str) -> None:
        run("dpkg", f"--root={self.root}", "--force-script-chrootless", "--force-confold", "--no-debsig",
            f"--log={self.folder}/dpkg.log", *words)  # fmt: skip

    def scan(self) -> dict[bytes, FileState]:
        """The states of the host, under the paths that it knows itself."""
        base = os.fsencode(self.root)
        states = {}
        for state in scan_watches([Watch(path=base, exclude=(f"{self.root}/var/*", f"{self.root}/etc/apt"))]):
            path = state.path[len(base) :] or b"/"
            states[path] = state._replace(path=path)
        return states

    def pins(self) -> PackagePins:
        collected = collect_pins(gather_package_sources(os.fsencode(self.root)))
        assert collected.problems == ()
        return collected.pins

    def proofs(self, pins: PackagePins) -> PackageProofs:
        return PackageProofs(gather_package_sources(os.fsencode(self.root)), pins)

    def prove(self, pins: PackagePins, path: str, before: FileState | None = None) -> Proof:
        """Prove what is at one path now."""
        key = path.encode()
        return self.proofs(pins).prove(key, before, self.scan().get(key))
