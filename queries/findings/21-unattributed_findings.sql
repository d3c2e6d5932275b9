-- Open findings that nothing recorded explains
-- Why: a change that auditing did not see went around it: through another name, a disk, another system, or with auditing off.
-- Cost: a walk through the open findings.
-- Platform: linux
-- Interval: 600
-- Removed: no
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT id, host, path, kind, tier, severity, changed, sources, reasons, first_seen, first_seen_time
FROM fimkit_findings
WHERE attribution = 'unattributed' AND status = 'open' AND verdict <> 'expected' AND severity <> 'info';
