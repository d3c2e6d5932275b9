-- Which accounts there are
-- Why: a new account, a second one with uid 0, a service account that has got a shell (ATT&CK T1136.001).
-- Platform: linux
-- Source: osquery's schema, users

SELECT uid, gid, username, description, directory, shell FROM users ORDER BY uid;
