"""What on this host would keep a change from being seen, or a panic from working: a section a subject. Changes nothing."""

from collections.abc import Callable, Iterable

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.verbs.doctor_audit import check_audit_log, check_auditd, check_context, check_kernel, check_rules
from fimkit.verbs.doctor_host import DoctorHost, check_paths, check_store
from fimkit.verbs.doctor_notify import check_notify
from fimkit.verbs.doctor_packages import check_packages
from fimkit.verbs.doctor_panic import check_panic
from fimkit.verbs.doctor_scan import check_scan
from fimkit.verbs.doctor_seal import check_seal
from fimkit.verbs.doctor_trust import check_trust
from fimkit.verbs.doctor_web import check_web
from fimkit.verbs.osquery_advice import osquery_advice

__all__ = ["SECTIONS", "DoctorHost", "doctor", "is_healthy", "osquery_advice"]


def _osquery(config: Config, _host: DoctorHost) -> Iterable[Advice]:
    return osquery_advice(config)


Section = Callable[[Config, DoctorHost], Iterable[Advice]]

SECTIONS: tuple[Section, ...] = (
    check_paths,
    check_store,
    check_scan,
    check_seal,
    check_trust,
    check_kernel,
    check_rules,
    check_context,
    check_auditd,
    check_audit_log,
    check_packages,
    _osquery,
    check_panic,
    check_notify,
    check_web,
)
"""What is looked at, in this order. A new subject is a function here."""

_ORDER = list(Level)


def doctor(config: Config, host: DoctorHost | None = None) -> list[Advice]:
    """Look at the host in every section.

    Args:
        config: What is to be watched, and where the sources are.
        host: Where the host's things are, where it is not this one.

    Returns:
        What was found, the worst first, in the order of the sections; none twice.
    """
    where = host if host is not None else DoctorHost()
    found = dict.fromkeys(advice for section in SECTIONS for advice in section(config, where))
    return sorted(found, key=lambda advice: _ORDER.index(advice.level))


def is_healthy(advice: Iterable[Advice]) -> bool:
    """Tell whether nothing worse than a note was found."""
    return all(one.level is Level.NOTE for one in advice)
