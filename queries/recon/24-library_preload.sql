-- Processes that were started with a library or an audit module put before all others
-- Why: LD_PRELOAD and its kin make any program run foreign code, and hide files and processes from it (ATT&CK T1574.006).
-- Cost: reads the environment of every process.
-- Platform: linux
-- Source: osquery's schema, process_envs, processes; ld.so(8)

SELECT e.pid, p.name, p.path, p.cmdline, p.uid, e.key, e.value
FROM processes AS p
CROSS JOIN process_envs AS e USING (pid)
WHERE e.key IN ('LD_PRELOAD', 'LD_AUDIT', 'LD_LIBRARY_PATH', 'GCONV_PATH');
