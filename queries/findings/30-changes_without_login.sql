-- Changes to watched paths within the hour by processes that no login started, summed by program
-- Why: daemons do not write below the watched paths, as a rule: a web server that does is a web shell until shown otherwise.
-- Cost: the changes of an hour, by time.
-- Platform: linux
-- Interval: 600
-- Removed: no
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT exe, actor_uid AS uid, action, count(*) AS changes, min(path) AS example, max(time) AS last_time
FROM fimkit_changes
WHERE time > CAST(strftime('%s', 'now') AS INTEGER) - 3600 AND source = 'audit' AND auid IS NULL AND exe <> ''
GROUP BY exe, actor_uid, action;
