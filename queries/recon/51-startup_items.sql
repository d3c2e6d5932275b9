-- What else is started with the host or with a session
-- Why: init scripts and autostart entries (ATT&CK T1037.004, T1547.013).
-- Platform: linux
-- Source: osquery's schema, startup_items

SELECT name, path, args, type, source, status, username FROM startup_items;
