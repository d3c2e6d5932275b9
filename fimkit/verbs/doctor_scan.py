"""The doctor on scans: which way files are read, and which way they are compared with the baseline."""

from collections.abc import Iterator

from fimkit.baseline.compiled import why_python
from fimkit.baseline.pairs import why_single
from fimkit.evidence.packed_pieces import why_python as why_rows
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.verbs.doctor_host import DoctorHost

__all__ = ["check_scan"]


def check_scan(_config: Config, _host: DoctorHost) -> Iterator[Advice]:
    """How quickly files are read and hashed, and compared with the baseline."""
    if (why := why_python()) is not None:
        yield Advice(
            code="scan-reader",
            level=Level.NOTE,
            where="fimkit.baseline._plain",
            problem=f"files are read in Python, the same rows at little more than half the speed: {why}.",
            remedy="with gcc, the headers of this Python (python3-dev, python3-devel) and OpenSSL 3 there, install fimkit again",
        )
    elif (why := why_single()) is not None:
        yield Advice(
            code="scan-reader",
            level=Level.NOTE,
            where="fimkit.baseline._plain",
            problem=f"the compiled reader hashes one file at a time by OpenSSL, not two at once: {why}.",
            remedy="what is found is the same. On x86-64 with libipsec-mb-dev (intel-ipsec-mb-devel) there, install fimkit again;"
            " where hashes differ, have processor and memory of this host looked at",
        )
    if (why := why_rows()) is not None:
        yield Advice(
            code="scan-compare",
            level=Level.NOTE,
            where="fimkit.evidence._rows",
            problem=f"files are compared with the baseline in Python, the same findings at about a fourth of the speed: {why}.",
            remedy="with gcc and the headers of this Python (python3-dev, python3-devel) there, install fimkit again",
        )
