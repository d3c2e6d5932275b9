-- When each password was last changed, and whether there is one; no hashes
-- Why: an account that had no password, or an old one, and has a new one since the incident.
-- Platform: linux
-- Source: osquery's schema, shadow

SELECT username, password_status, hash_alg, last_change, expire FROM shadow ORDER BY last_change DESC;
