-- How fimkit itself is doing: a heartbeat of each host
-- Why: a host whose checks stopped, whose store cannot be read, or whose auditing is off finds nothing, and is silent about it.
-- Cost: counts, without the baseline's rows; milliseconds.
-- Platform: linux
-- Interval: 3600
-- Snapshot: yes
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT host, version, ok, problem, last_check, last_check_time, open_findings, open_critical, baseline_time, baseline_by, accepted_time,
  last_change_time, store_bytes, bad_lines, audit_enabled, audit_time, records_lost_time, refused_answers, refused_words,
  watch_running, watch_records, watch_problem, watch_lag_ms, watch_lost, watch_blind_intervals
FROM fimkit_status;
