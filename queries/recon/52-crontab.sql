-- What cron runs
-- Why: the second usual way to come back (ATT&CK T1053.003).
-- Platform: linux
-- Source: osquery's schema, crontab

SELECT path, event, minute, hour, day_of_month, month, day_of_week, command FROM crontab;
