-- Who is in which group
-- Why: sudo, wheel, docker, disk and shadow are root in all but name.
-- Platform: linux
-- Source: osquery's schema, users, user_groups, groups

SELECT g.gid, g.groupname, u.uid, u.username
FROM users AS u
CROSS JOIN user_groups AS m ON m.uid = u.uid
JOIN groups AS g ON g.gid = m.gid
ORDER BY g.gid, u.uid;
