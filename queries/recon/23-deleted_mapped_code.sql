-- Code that runs from files that have no name any more
-- Why: a library that was loaded and then removed, or replaced under a running process.
-- Cost: reads the memory map of every process.
-- Platform: linux
-- Source: osquery's schema, process_memory_map, processes

SELECT DISTINCT m.pid, p.name, p.path AS executable, p.uid, m.permissions, m.device, m.inode, m.path
FROM processes AS p
CROSS JOIN process_memory_map AS m USING (pid)
WHERE m.path LIKE '% (deleted)' AND m.permissions LIKE '%x%';
