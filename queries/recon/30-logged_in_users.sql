-- Who is logged in, from where
-- Why: the sessions that are open now; an intruder's may be one.
-- Platform: linux
-- Source: osquery's schema, logged_in_users

SELECT type, user, tty, host, time, pid FROM logged_in_users;
