"""Runs one of the notebooks on this host's data, or on any other, and writes what came of it as a page or as a notebook."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fimkit.model.beside import make_beside
from fimkit.model.errors import HostError, UsageError, clip
from fimkit.report.notebook_html import render_notebook
from fimkit.verbs.notebook_places import find_notebook

__all__ = ["Ask", "run_notebook"]

_KERNEL = "python3"
_KERNEL_CONFIG = "c = get_config()\nc.IPKernelApp.log_level = 50\n"  # being told to end is no error to show; a cell's own are
_MOST_SAID = 500
_WAIT_S = 120  # for the kernel to start, on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a notebook is asked: ``sources`` as :func:`fimkit.open` takes them; without any, and without ``config``, the sample.

    ``parameters`` are the notebook's own, by name; each must be one that it has.
    """

    name: str
    sources: Sequence[str] = ()
    config: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def _libraries() -> tuple[Any, Any, Any, Any]:
    try:
        import jupytext
        import nbformat
        import papermill
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise UsageError(f"notebooks need {error.name}; remedy: pip install 'fimkit[notebook]'") from None
    return jupytext, nbformat, papermill, MarkdownIt


def _known_parameters(notebook: Any) -> dict[str, str]:
    """Read names and defaults of the cell that is tagged ``parameters``."""
    known: dict[str, str] = {}
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            for line in cell.source.splitlines():
                name, found, value = line.partition(" = ")
                if found and name.isidentifier():
                    known[name] = value
    return known


def _parameters(ask: Ask, notebook: Any) -> dict[str, Any]:
    known = _known_parameters(notebook)
    wrong = sorted(set(ask.parameters) - set(known))
    if wrong:
        raise UsageError(f"{ask.name} has no parameter {', '.join(wrong)}; it has {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, text in ask.parameters.items():
        if known[name].split("#")[0].strip().lstrip("-").isdigit():
            if not text.lstrip("-").isdigit():
                raise UsageError(f"{name}={text!r}: expected a whole number")
            values[name] = int(text)
        else:
            values[name] = text
    values["source"] = "\n".join(os.path.abspath(source) for source in ask.sources)
    values["config"] = os.path.abspath(ask.config) if ask.config else ""
    return values


@contextmanager
def _own_places(folder: str) -> Iterator[None]:
    """Keep the kernel from writing into anybody's home, and its connection file where only we can read it."""
    names = {"IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_CONFIG_DIR": "config"}
    was = {name: os.environ.get(name) for name in names}
    for name, below in names.items():
        place = os.path.join(folder, below)
        os.mkdir(place, 0o700)
        os.environ[name] = place
    profile = os.path.join(folder, names["IPYTHONDIR"], "profile_default")
    os.mkdir(profile, 0o700)
    Path(profile, "ipython_kernel_config.py").write_text(_KERNEL_CONFIG, encoding="utf-8")
    try:
        yield
    finally:
        for name, value in was.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _aside(file: Path) -> Iterator[Path]:
    """Have what the kernel and its libraries write to standard error in a file: one that went well has nothing to say there."""
    sys.stderr.flush()
    was = os.dup(2)
    try:
        with file.open("wb") as stream:
            os.dup2(stream.fileno(), 2)
        yield file
    finally:
        sys.stderr.flush()
        os.dup2(was, 2)
        os.close(was)


def run_notebook(ask: Ask, *, html: Path | None, ipynb: Path | None) -> None:
    """Run a notebook from top to bottom in a kernel of its own, and write what came of it.

    Args:
        ask: Which, and on what.
        html: The page to write: one file, no script in it, nothing that the network is asked for.
        ipynb: The executed notebook to write, for Jupyter.

    Raises:
        UsageError: If there is no such notebook or parameter, or the libraries are not installed.
        HostError: If a cell fails, an assertion of the notebook included; what was asked for is written up to there.
    """
    jupytext, nbformat, papermill, markdown_it = _libraries()
    place = find_notebook(ask.name)
    notebook = jupytext.read(place, fmt="py:percent")
    notebook.metadata["kernelspec"] = {"name": _KERNEL, "language": "python", "display_name": "Python 3"}
    parameters = _parameters(ask, notebook)
    with tempfile.TemporaryDirectory(prefix="fimkit-notebook-") as folder, _own_places(folder):
        source, done = Path(folder, "asked.ipynb"), Path(folder, "done.ipynb")
        nbformat.write(notebook, source)
        with _aside(Path(folder, "stderr")) as said:
            failure = _execute(papermill, source, done, parameters)
        if failure is not None and (words := said.read_text(encoding="utf-8", errors="backslashreplace").strip()):
            failure = f"{failure}; the kernel said {clip(words[-_MOST_SAID:], _MOST_SAID)}"
        executed = nbformat.read(done, as_version=4)
        if ipynb is not None:
            _write(ipynb, done.read_text(encoding="utf-8"))
    if html is not None:
        words = markdown_it("commonmark", {"html": False}).enable("table")
        _write(html, render_notebook(executed.cells, title=f"fimkit {place.stem}", markdown=words.render))
    if failure is not None:
        raise HostError(f"{place.stem}: {failure}")


def _execute(papermill: Any, source: Path, done: Path, parameters: Mapping[str, Any]) -> str | None:
    """Run it, and give in words what went wrong."""
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config  # the kernel is spoken to by sockets in our own folder, and not on a port of the host

    try:
        papermill.execute_notebook(
            str(source), str(done), parameters=dict(parameters), kernel_name=_KERNEL, progress_bar=False, start_timeout=_WAIT_S,
            cwd=str(done.parent), config=Config({"KernelManager": {"transport": "ipc", "ip": str(done.parent / "k")}}),
        )  # fmt: skip
    except PapermillExecutionError as error:
        return f"a cell failed: {error.ename}: {error.evalue}"
    return None


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all, its owner's alone: it names users and commands."""
    try:
        handle, name = make_beside(os.fspath(file))
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
                stream.flush()
                os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise HostError(f"{file}: cannot be written: {error.strerror}") from error
