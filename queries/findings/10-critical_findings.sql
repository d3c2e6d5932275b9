-- Open critical findings: what changed that must never change, and who did it
-- Why: each comes once into the fleet's log, when it is new. No column moves while a finding stays, so that a later check does not
--   log it again; a surer attribution does.
-- Cost: an index on severity; milliseconds.
-- Platform: linux
-- Interval: 60
-- Removed: no
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT id, host, path, moved_to, kind, severity, verdict, changed, attribution, sources, auid, uid, user, pid, exe, cmdline, syscall,
  event, before_sha256, after_sha256, before_mode, after_mode, reasons, first_seen, first_seen_time
FROM fimkit_findings
WHERE severity = 'critical' AND status = 'open';
