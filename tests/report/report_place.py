"""Findings for the tests of the report: the recorded incident, many of its kind, and names that want to be markup."""

import random
from dataclasses import replace
from functools import cache
from pathlib import Path

from fimkit.model.config_text import load_foreign_config
from fimkit.model.findings import Finding
from fimkit.report.html import Blind, ReportData
from fimkit.verbs.investigate import Investigation, investigate

INCIDENT = Path(__file__).parent.parent / "data/incident-01"
SECOND_NS = 1_000_000_000
MADE_NS = 1795322949 * SECOND_NS  # an hour after the incident

HOSTILE = (
    b"/srv/<script>window.owned='script'</script>",
    b"/srv/</script><script>window.owned='end'</script>",
    b"/srv/</noscript></title></style><script>window.owned='noscript'</script>",
    b"/srv/\"><img src=x onerror=window.owned='img'>",
    b"/srv/'onfocus='window.owned=1'autofocus='",
    b"/srv/<!--<script>",
    b"/srv/-->]]><svg onload=window.owned='svg'>",
    b"/srv/&lt;script&gt;&#60;b&#62;",
    b"/srv/\xff\xfe\n\r\x1b[2J\x00",
    b"/srv/a\xe2\x80\xaegnp.exe",
    b"/srv/\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf",
    b"/srv/{{data}}{{script}}",
    b"/srv/${window.owned=1}`+window.owned+`",
    b"/srv/javascript:window.owned=1",
    b"/srv/__proto__",
    b"/srv/constructor/toString",
    b"/srv/" + b"x" * 3000,
    "/srv/설정 e\u0301".encode(),
)


@cache
def investigation() -> Investigation:
    """Judge the recorded incident."""
    config = load_foreign_config(str(INCIDENT / "fimkit.toml"))
    return investigate(
        config,
        baseline=INCIDENT / "baseline.jsonl",
        after=INCIDENT / "after.jsonl",
        audit_logs=[INCIDENT / "audit.log"],
        osquery_logs=[INCIDENT / "osqueryd.results.log"],
        now_ns=MADE_NS,
    )


def incident_report() -> ReportData:
    """Give the incident's report, with a gap that was made for it."""
    found = investigation()
    times = [actor.time_ns for finding in found.findings for actor in finding.actors]
    blind = Blind(from_ns=min(times) + 2 * SECOND_NS, to_ns=min(times) + 4 * SECOND_NS, why="the kernel lost records")
    return ReportData(host="web01", made_ns=MADE_NS, findings=found.findings, blind=(blind,), processes=found.processes)


def many_findings(count: int) -> tuple[Finding, ...]:
    """Make findings like the incident's, spread over eleven days and six folders; the same each time."""
    chance, found = random.Random(count), investigation().findings
    folders = [b"/usr/bin", b"/etc", b"/var/www/html", b"/opt/app/lib", b"/usr/sbin", b"/var/www/html/uploads"]
    made = []
    for number in range(count):
        one = chance.choice(found)
        when = MADE_NS - int(chance.expovariate(1 / 100_000)) % 900_000 * SECOND_NS
        actors = tuple(replace(actor, time_ns=when, auid=chance.choice([None, 0, 1000, 1001]), user=None) for actor in one.actors)
        path = b"%s/d%d/file%d" % (chance.choice(folders), chance.randrange(30), number)
        made.append(replace(one, id=f"{number:032x}", path=path, actors=actors, first_seen_ns=when, last_seen_ns=MADE_NS))
    return tuple(made)


def hostile_report() -> ReportData:
    """Put each hostile name wherever a name, a command or a text of the host can stand."""
    found, made = investigation().findings, []
    for number, name in enumerate(HOSTILE):
        one, text = found[number % len(found)], name.decode("utf-8", "surrogateescape")
        actors = tuple(replace(actor, exe=name, comm=name, cmdline=text, user=text, tty=text, event=text) for actor in one.actors)
        after = None if one.after is None else one.after._replace(target=name, xattrs={text: name}, problem=text)
        made.append(
            replace(one, id=f"{number}{text}", host=text, path=name, moved_to=name if number % 2 else None, actors=actors,
                    after=after, reasons=(text,), evidence=(text,))
        )  # fmt: skip
    texts = tuple(name.decode("utf-8", "surrogateescape") for name in HOSTILE)
    blind = tuple(Blind(from_ns=MADE_NS - SECOND_NS, to_ns=MADE_NS, why=text) for text in texts)
    return ReportData(
        host=texts[0], made_ns=MADE_NS, findings=tuple(made), blind=blind, watched=texts, coverage=texts,
        statuses={made[3].id: texts[3]},
        diffs={finding.id: f"--- {text}\n+{text}" for finding, text in zip(made, texts, strict=True)},
    )  # fmt: skip
