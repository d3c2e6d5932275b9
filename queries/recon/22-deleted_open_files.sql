-- Files that have no name any more and that a process still holds open
-- Why: tools, stolen data and logs that were removed can be had back from /proc/PID/fd while the process lives.
-- Cost: reads every descriptor of every process.
-- Platform: linux
-- Source: osquery's schema, process_open_files, processes; the kernel's mark, proc(5)

SELECT f.pid, p.name, p.path AS executable, p.uid, f.fd, f.path
FROM processes AS p
CROSS JOIN process_open_files AS f USING (pid)
WHERE f.path LIKE '% (deleted)';
