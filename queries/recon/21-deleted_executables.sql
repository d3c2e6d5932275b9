-- Processes whose program file is no longer there
-- Why: malware removes its file once it runs; so does a package update, which leaves old services running.
--   While the process lives, /proc/PID/exe still has the bytes.
-- Platform: linux
-- Source: osquery's schema, processes; on_disk is 1, 0, or -1 where it is not known

SELECT pid, parent, name, path, cmdline, cwd, uid, euid, start_time
FROM processes
WHERE on_disk = 0;
