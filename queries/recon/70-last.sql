-- Who has logged in, and from where
-- Why: the way in, where it was a login; an intruder cuts this file.
-- Platform: linux
-- Source: osquery's schema, last; type as in utmp(5)

SELECT username, tty, pid, type, time, host FROM last ORDER BY time DESC LIMIT 2000;
