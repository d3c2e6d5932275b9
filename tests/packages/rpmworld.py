"""A host with rpm of its own below a folder: real rpmbuild, rpmsign and rpm, with a key of the test."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
from fimkit.model.states import FileState
from fimkit.packages.collect import collect_pins
from fimkit.packages.pins import PackagePins
from fimkit.packages.proof import Proof
from fimkit.packages.proofs import PackageProofs
from fimkit.packages.sources import gather_package_sources

__all__ = ["NEEDS_RPM", "RpmWorld", "run"]

_TOOLS = ("rpm", "rpmbuild", "rpmsign", "gpg", "gpgconf")
NEEDS_RPM = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: rpm gives files their owners, below a root of its own"),
    pytest.mark.skipif(not all(map(shutil.which, _TOOLS)), reason=f"needs {', '.join(_TOOLS)}"),
]


def run(*words: str | Path, **environment: str) -> str:
    variables = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=variables, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


class RpmWorld:
    """The folder ``root`` is the host. ``close`` ends gpg's agent, which signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.homes: list[Path] = []

    def create(self) -> "RpmWorld":
        for name in ("usr/bin", "etc", "var/lib/rpm", "var/tmp"):
            (self.root / name).mkdir(parents=True)
        (self.root / "bin").symlink_to("usr/bin")
        return self

    def copy(self, root: Path) -> "RpmWorld":
        """Give the same world with a host of its own."""
        run("cp", "-a", self.root, root)
        other = RpmWorld(self.folder)
        other.root, other.homes = root, self.homes
        return other

    def close(self) -> None:
        for home in self.homes:
            run("gpgconf", "--homedir", home, "--kill", "all")

    def make_key(self, name: str) -> Path:
        """Make a key; its folder is short, since a socket's path may not be long."""
        home = self.folder / name
        if home.exists():
            return home
        home.mkdir(mode=0o700)
        self.homes.append(home)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        run(*gpg, "--quick-gen-key", f"{name}@example.org", "rsa3072", "sign", "never")
        run(*gpg, "--armor", "--output", home / "key.asc", "--export")
        return home

    def trust(self, home: Path) -> None:
        self.rpm("--import", home / "key.asc", chroot=False)

    def build(self, name: str, version: str, files: Mapping[str, tuple[str, bytes]], key: Path | None) -> Path:
        """Build a package; each file has the words of its line in ``%files``, and its bytes. Without a key it is not signed."""
        top = self.folder / "rpmbuild" / f"{name}-{version}"
        shutil.rmtree(top, ignore_errors=True)
        tree = top / "tree"
        for path, (_, content) in files.items():
            (tree / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            (tree / path.lstrip("/")).write_bytes(content)
        lines = "\n".join(f"{words} {path}" for path, (words, _) in files.items())
        spec = top / "one.spec"
        spec.write_text(
            f"Name: {name}\nVersion: {version}\nRelease: 1\nSummary: test\nLicense: none\nBuildArch: noarch\nAutoReqProv: no\n"
            f"%description\ntest\n%install\ncp -a {tree}/. %{{buildroot}}/\nln -s tool %{{buildroot}}/usr/bin/{name}-link\n"
            f"%files\n%defattr(-,root,root)\n{lines}\n/usr/bin/{name}-link\n"
        )
        sha256 = ["--define", "_source_filedigest_algorithm 8", "--define", "_binary_filedigest_algorithm 8"]
        run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}", *sha256, "--define", "__os_install_post %{nil}", spec,
            HOME=str(self.folder))  # fmt: skip
        (package,) = top.glob("RPMS/*/*.rpm")
        if key is not None:
            macros = {"__gpg": shutil.which("gpg"), "_gpg_name": f"{key.name}@example.org", "_gpg_path": key}
            defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
            run("rpmsign", *defines, "--addsign", package, HOME=str(self.folder), GNUPGHOME=str(key))
        return package

    def rpm(self, *words: str | Path, chroot: bool = True) -> str:
        place = [f"--root={self.root}", "--dbpath=/var/lib/rpm"] if chroot else [f"--dbpath={self.root}/var/lib/rpm"]
        return run("rpm", *place, *words, HOME=str(self.folder))

    def install(self, *packages: Path, options: tuple[str, ...] = ()) -> None:
        self.rpm("-U", "--nodeps", "--noscripts", *options, *packages)

    @property
    def database(self) -> Path:
        return self.root / "var/lib/rpm/rpmdb.sqlite"

    def scan(self) -> dict[bytes, FileState]:
        base = os.fsencode(self.root)
        states = {}
        for state in scan_watches([Watch(path=base, exclude=(f"{self.root}/var/*",))]):
            path = state.path[len(base) :] or b"/"
            states[path] = state._replace(path=path)
        return states

    def pins(self) -> PackagePins:
        collected = collect_pins(gather_package_sources(os.fsencode(self.root)))
        assert collected.problems == ()
        return collected.pins

    def proofs(self, pins: PackagePins) -> PackageProofs:
        return PackageProofs(gather_package_sources(os.fsencode(self.root)), pins)

    def prove(self, pins: PackagePins, path: str) -> Proof:
        with self.proofs(pins) as proofs:
            return proofs.prove(path.encode(), None, self.scan().get(path.encode()))
