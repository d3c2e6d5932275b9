"""Keys of packages that come to be trusted without a new baseline: what a signed update of a keyring brought."""

from typing import NamedTuple

from fimkit.model.paths import render_path
from fimkit.packages.apt_keys import load_apt_keys
from fimkit.packages.pins import PackagePins, PinnedKey
from fimkit.packages.proofs import PackageProofs
from fimkit.packages.sources import PackageSources
from fimkit.verbs.look import Looker

__all__ = ["Learned", "learn_keys"]

_TRUSTED = b"/etc/apt/trusted.gpg.d/"


class Learned(NamedTuple):
    """Keys to pin from now on, and words that say so."""

    keys: tuple[PinnedKey, ...]
    words: tuple[str, ...]


def learn_keys(pins: PackagePins, sources: PackageSources, proofs: PackageProofs) -> Learned:
    """Find the keys that apt trusts now, and that stand in a keyring whose very bytes a pinned key vouches for.

    So a distribution's next signing key is trusted as its packages are: the last one signed the package that brought it. It must be
    a package that was installed when the pins were made, not an older one, and either the same keyring file as then, or one that
    the package itself puts where apt trusts all: who points apt to a keyring of withdrawn keys gains nothing.

    rpm's keys are no package's files; new ones are trusted by `fimkit baseline pin` alone.
    """
    if sources.dpkg is None or not pins.keys:
        return Learned((), ())
    known, files = {key.fingerprint for key in pins.keys}, {key.file for key in pins.keys}
    new = [key for key in load_apt_keys(sources.root).keys if key.fingerprint not in known]
    keys: list[PinnedKey] = []
    words: list[str] = []
    for key in new:
        if key.file not in files and not key.file.startswith(_TRUSTED):
            continue
        package = _proved_by(key, pins, sources, proofs)
        if package is not None:
            keys.append(key)
            where = render_path(key.file)
            words.append(f"a new key of packages is trusted from now on: {key.fingerprint} in {where}, which {package} brought")
    return Learned(tuple(keys), tuple(words))


def _proved_by(key: PinnedKey, pins: PackagePins, sources: PackageSources, proofs: PackageProofs) -> str | None:
    state = Looker().look(sources.place(key.file))
    if state is None or state.sha256 != key.file_sha256:
        return None
    proof = proofs.prove(key.file, None, state)
    was_there = any(package.name == proof.package for package in pins.packages)
    if not was_there or proof.older or not proof.explains(None, state, ()):
        return None
    return f"{proof.package} {proof.version}"
