-- Findings that were closed within a day: who accepted them and why, or that they are gone
-- Why: an alert's end belongs into the same log as its beginning; an intruder may accept, too.
-- Cost: a walk through the findings.
-- Platform: linux
-- Interval: 300
-- Removed: no
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT id, host, path, kind, severity, status, accepted_by, accept_reason, superseded_by, closed, closed_time
FROM fimkit_findings
WHERE closed_time > CAST(strftime('%s', 'now') AS INTEGER) - 86400 AND status IN ('accepted', 'gone', 'superseded');
