-- Which keys open which account
-- Why: one added line lets its owner in for good (ATT&CK T1098.004).
-- Platform: linux
-- Source: osquery's schema, authorized_keys, users: without the join it has the asking user's alone

SELECT u.uid, u.username, k.key_file, k.algorithm, k.options, k.comment, k.key
FROM users AS u
CROSS JOIN authorized_keys AS k USING (uid);
