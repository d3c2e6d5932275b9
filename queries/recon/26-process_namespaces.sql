-- Processes that are in other namespaces than the first process
-- Why: a container that was not planned for, and a process that has hidden itself in one.
-- Platform: linux
-- Source: osquery's schema, process_namespaces, processes

SELECT n.pid, p.name, p.path, n.mnt_namespace, n.net_namespace, n.pid_namespace, n.user_namespace
FROM processes AS p
CROSS JOIN process_namespaces AS n USING (pid)
WHERE n.mnt_namespace <> (SELECT mnt_namespace FROM process_namespaces WHERE pid = 1)
   OR n.net_namespace <> (SELECT net_namespace FROM process_namespaces WHERE pid = 1)
   OR n.user_namespace <> (SELECT user_namespace FROM process_namespaces WHERE pid = 1);
