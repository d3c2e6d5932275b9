-- What was typed
-- Why: what the intruder did, in the intruder's words, unless it was turned off.
-- Platform: linux
-- Source: osquery's schema, shell_history, users: without the join it has the asking user's alone

SELECT u.uid, u.username, h.time, h.history_file, h.command
FROM users AS u
CROSS JOIN shell_history AS h USING (uid);
