-- Which UNIX sockets processes have open, by path or abstract name
-- Why: local control channels of implants and agents are UNIX sockets as often as ports.
-- Platform: linux
-- Source: osquery's schema, process_open_sockets, processes; 1 is AF_UNIX

SELECT s.pid, p.name, p.path AS executable, s.path
FROM process_open_sockets AS s
LEFT JOIN processes AS p USING (pid)
WHERE s.family = 1 AND s.path <> '';
