-- Denied tries to change watched paths within the hour: who wanted what
-- Why: whoever looks for a way in meets EACCES and EPERM first.
-- Cost: the changes of an hour, by time.
-- Platform: linux
-- Interval: 600
-- Removed: no
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT path, error, auid, actor_uid AS uid, user, pid, exe, cmdline, syscall, time, event
FROM fimkit_changes
WHERE time > CAST(strftime('%s', 'now') AS INTEGER) - 3600 AND action = 'denied';
