-- Processes that run from, or stand in, a folder that everyone can write to
-- Why: what was downloaded by an exploited service is run from where that service may write.
-- Platform: linux
-- Source: osquery's schema, processes

SELECT pid, parent, name, path, cmdline, cwd, uid, euid, start_time
FROM processes
WHERE path LIKE '/tmp/%' OR path LIKE '/var/tmp/%' OR path LIKE '/dev/shm/%' OR path LIKE '/run/user/%'
   OR cwd LIKE '/tmp%' OR cwd LIKE '/var/tmp%' OR cwd LIKE '/dev/shm%';
