"""Where the notebooks and the samples are: in the checkout, else in the installation."""

import os
import site
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from fimkit.model.errors import ConfigError, UsageError, clip

__all__ = ["find_notebook", "find_sample", "list_notebooks"]

_ROOT = Path(__file__).parents[2]
_SAMPLES = {"incident-01": "one host, 33 labelled changes in 8 seconds", "fleet-01": "eight hosts, a roll-out and a lead"}


def _places(in_checkout: str, installed: str) -> Iterator[Path]:
    # Beside an installed package lie other projects' folders: only a checkout has its pyproject.toml there.
    if (_ROOT / "pyproject.toml").is_file():
        yield _ROOT / in_checkout
    shared = Path("share", "fimkit", installed)
    yield _ROOT / shared
    yield Path(sysconfig.get_path("data")) / shared
    if site.ENABLE_USER_SITE:
        yield Path(sysconfig.get_path("data", f"{os.name}_user")) / shared


def _find(in_checkout: str, installed: str, what: str) -> Path:
    places = list(_places(in_checkout, installed))
    for place in places:
        if place.is_dir():
            return place
    raise ConfigError([f"{what} not installed; looked in {', '.join(map(str, places))}"])


def list_notebooks() -> dict[str, str]:
    """Give the notebooks by name, each with its title.

    Raises:
        ConfigError: If there are none: the installation is broken.
    """
    files = sorted(_find("notebooks", "notebooks", "fimkit's notebooks are").glob("[0-9]*.py"))
    return {file.stem: _title(file) for file in files}


def _title(file: Path) -> str:
    lines = (line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# # "))
    return next(lines, "").removeprefix("# # ")


def find_notebook(name: str) -> Path:
    """Find a notebook by its name, or by what only one name begins with.

    Raises:
        UsageError: If there is no such notebook.

    >>> find_notebook("01").name
    '01_triage.py'
    """
    folder = _find("notebooks", "notebooks", "fimkit's notebooks are")
    known = list(list_notebooks())
    fitting = [stem for stem in known if stem == name] or [stem for stem in known if name and stem.startswith(name)]
    if len(fitting) != 1:
        raise UsageError(f"no notebook {clip(name)}; there are: {', '.join(known)}")
    return folder / f"{fitting[0]}.py"


def find_sample(name: str = "incident-01") -> Path:
    """Find one of the samples that fimkit carries: ``incident-01`` or ``fleet-01``.

    Raises:
        UsageError: If there is none of that name.
        ConfigError: If the samples are not installed.

    >>> (find_sample("incident-01") / "truth.jsonl").is_file()
    True
    """
    if name not in _SAMPLES:
        raise UsageError(f"no sample {clip(name)}; there are: {', '.join(_SAMPLES)}")
    return _find(f"tests/data/{name}", f"samples/{name}", f"the sample {name} is")
