-- What runs: from which file, in which folder, as whom, started by whom
-- Why: everything else is read beside this list; a process is the most that is lost at a shutdown.
-- Platform: linux
-- Source: osquery's schema, processes, users

SELECT p.pid, p.parent, p.name, p.path, p.cmdline, p.cwd, p.root, p.on_disk, p.state, p.uid, p.gid, p.euid, p.egid,
       p.start_time, u.username
FROM processes AS p
LEFT JOIN users AS u ON u.uid = p.uid
ORDER BY p.start_time, p.pid;
