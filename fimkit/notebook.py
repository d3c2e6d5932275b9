"""The door for notebooks and for Python: opens archives, and the samples that fimkit carries."""


from fimkit.report.frames import Frame, findings_of
from fimkit.verbs.archive import Archive, open_archive
from fimkit.verbs.notebook_places import find_sample

__all__ = ["Archive", "Frame", "find_sample", "findings_of", "open_archive", "open_parameters"]


def open_parameters(source: str, config: str, *, sample: str) -> tuple[Archive, bool]:
    """Open what a notebook was asked to look at.

    Args:
        source: Sources, one a line; empty takes the sample.
        config: A configuration; with ``source`` empty, its state folder is what is looked at.
        sample: The sample's name.

    Returns:
        The archive, and whether it is the sample: then the notebook's own answers can be checked.
    """
    sources = [line.strip() for line in source.splitlines() if line.strip()]
    if not sources and not config:
        return open_archive(find_sample(sample)), True
    return open_archive(*sources, config=config or None), False


