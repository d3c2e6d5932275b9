-- Which containers there are, the privileged ones first
-- Why: a privileged container, or one with the host's folders in it, is root on this host.
-- Platform: linux
-- Source: osquery's schema, docker_containers

SELECT id, name, image, command, created, state, status, pid, privileged, security_options, started_at, finished_at
FROM docker_containers
ORDER BY privileged DESC, created DESC;
