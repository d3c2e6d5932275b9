-- Who talks to whom: open network sockets with their processes
-- Why: a connection to a command server, or the hop to the next machine, is gone as soon as it is closed.
-- Platform: linux
-- Source: osquery's schema, process_open_sockets, processes; 2 and 10 are AF_INET and AF_INET6, socket(7)

SELECT s.pid, p.name, p.path, p.uid, s.family, s.protocol, s.local_address, s.local_port, s.remote_address, s.remote_port
FROM process_open_sockets AS s
LEFT JOIN processes AS p USING (pid)
WHERE s.family IN (2, 10);
