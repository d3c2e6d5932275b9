-- What systemd starts, from which file, as whom
-- Why: a service or timer of one's own is the usual way to come back after a restart (ATT&CK T1543.002, T1053.006).
-- Platform: linux
-- Source: osquery's schema, systemd_units

SELECT id, description, load_state, active_state, sub_state, fragment_path, source_path, user
FROM systemd_units
WHERE fragment_path <> '' OR source_path <> '';
