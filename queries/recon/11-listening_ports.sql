-- Who waits for connections
-- Why: a back door that listens shows here, and only for as long as it runs.
-- Platform: linux
-- Source: osquery's schema, listening_ports, processes

SELECT l.pid, p.name, p.path, p.uid, l.protocol, l.family, l.address, l.port
FROM listening_ports AS l
LEFT JOIN processes AS p USING (pid)
WHERE l.family IN (2, 10);
