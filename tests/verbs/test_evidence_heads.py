"""The head of the evidence chain goes out with mails, alarms, exports, reports and rows of status."""

import io
import json
import os
from pathlib import Path

import pytest

from fimkit.evidence.heads import head_lines, say_head
from fimkit.model.findings import Kind
from fimkit.notify.channels import render_news
from fimkit.notify.compose import PanicNews, compose_panic
from fimkit.osquery.columns import STATUS
from fimkit.osquery.tables import Asked
from fimkit.report.export_formats import Format
from fimkit.verbs.evidence import verify_evidence
from fimkit.verbs.evidence_key import load_own_signer
from fimkit.verbs.export import ExportOptions, stream_export
from fimkit.verbs.report import report_store
from fimkit.verbs.tables import StoreTables
from tests.verbs.baseline_host import NOW, SmallHost, make_host


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    made = make_host(tmp_path)
    made.found("a", Kind.MODIFIED)
    return made


def exported(host: SmallHost, format: Format) -> bytes:
    stream = io.BytesIO()
    assert stream_export(host.config, ExportOptions(format=format), stream) == 1
    return stream.getvalue()


def test_lines_of_a_mail_have_the_head_and_the_key_that_another_host_can_trust(host: SmallHost) -> None:
    state_dir = host.config.host.state_dir
    head = say_head(state_dir)
    assert head is not None and head_lines(state_dir) == [f"Evidence head {head}"]
    _, key = load_own_signer(state_dir)
    body = "".join(key.pem.splitlines()[1:-1])
    assert head_lines(state_dir) == [f"Evidence head {head}", f"Evidence key {key.fingerprint} ({body})"]
    assert not verify_evidence(state_dir, [head]).broken
    os.chmod(os.path.join(state_dir, b"evidence.pub"), 0o666)  # anybody's key is nobody's
    assert head_lines(state_dir) == [f"Evidence head {head}"]
    assert head_lines(b"/nowhere") == []


def test_every_format_has_the_head(host: SmallHost) -> None:
    head = say_head(host.config.host.state_dir)
    assert json.loads(exported(host, Format.JSONL))["evidence_head"] == head
    assert json.loads(exported(host, Format.ECS))["fimkit"]["evidence_head"] == head
    assert json.loads(exported(host, Format.OCSF))["unmapped"]["fimkit"]["evidence_head"] == head
    heading, line = exported(host, Format.CSV).decode().splitlines()
    assert (heading.rpartition(",")[2], line.rpartition(",")[2]) == ("evidence_head", head)
    parquet = pytest.importorskip("pyarrow.parquet")
    metadata = parquet.read_metadata(io.BytesIO(exported(host, Format.PARQUET))).metadata
    assert head is not None and metadata[b"fimkit.evidence_head"] == head.encode()


def test_report_and_status_have_the_head(host: SmallHost, tmp_path: Path) -> None:
    head = say_head(host.config.host.state_dir)
    report_store(host.config, tmp_path / "r.html")
    assert f"Evidence head {head}." in (tmp_path / "r.html").read_text()
    columns = tuple(column.name for column in STATUS.columns)
    answer = StoreTables(host.config, say=lambda words: None).answer(STATUS, Asked(columns=columns, limits={}))
    (row,) = answer.rows
    assert dict(zip(answer.columns, row, strict=True))["evidence_head"] == head


def test_panic_has_the_head_in_letter_and_webhook() -> None:
    news = PanicNews(
        host="web01", addresses=(), incident="i-1", cause="x", triggered_ns=NOW, findings=(), done=(), next_steps=(), folder=b"/x",
        heads=("Evidence head 7:ab",),
    )  # fmt: skip
    assert "\nEvidence head 7:ab\n" in compose_panic(news).text
    assert json.loads(render_news(news))["evidence"] == ["Evidence head 7:ab"]
