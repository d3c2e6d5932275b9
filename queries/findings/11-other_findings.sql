-- Open findings that are high, medium or low: worth a look
-- Why: as critical_findings, for the rest; findings of severity info stay on the host.
-- Cost: an index on severity; milliseconds.
-- Platform: linux
-- Interval: 300
-- Removed: no
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT id, host, path, moved_to, kind, tier, severity, verdict, changed, attribution, sources, auid, uid, user, pid, exe, cmdline,
  syscall, event, before_sha256, after_sha256, reasons, first_seen, first_seen_time
FROM fimkit_findings
WHERE severity IN ('high', 'medium', 'low') AND status = 'open';
