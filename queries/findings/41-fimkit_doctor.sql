-- What fimkit's doctor found on each host, with its meaning and its remedy
-- Why: a host where changes go unseen or unnamed looks like one where nothing changes. The columns are hidden: name them.
-- Cost: seconds in a process of its own, and a connection to each mail server that is configured; an answer is kept for 5 minutes.
-- Platform: linux
-- Interval: 86400
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT doctor_check, doctor_level, doctor_meaning, doctor_where, doctor_path, doctor_problem, doctor_remedy
FROM fimkit_status
WHERE doctor_level IN ('trap', 'warning');
