-- Private keys of users, and whether a passphrase guards them
-- Why: where an intruder who has read them can go next (ATT&CK T1552.004).
-- Platform: linux
-- Source: osquery's schema, user_ssh_keys, users

SELECT u.username, k.path, k.encrypted, k.key_type
FROM users AS u
CROSS JOIN user_ssh_keys AS k USING (uid);
