-- osquery 5's tables on Linux that the recon queries read: names and types as its schema documents them.
CREATE TABLE arp_cache (address TEXT, mac TEXT, interface TEXT, permanent TEXT);
CREATE TABLE authorized_keys (uid BIGINT, algorithm TEXT, key TEXT, options TEXT, comment TEXT, key_file TEXT);
CREATE TABLE crontab (event TEXT, minute TEXT, hour TEXT, day_of_month TEXT, month TEXT, day_of_week TEXT, command TEXT, path TEXT);
CREATE TABLE dns_resolvers (id INTEGER, type TEXT, address TEXT, netmask TEXT, options BIGINT);
CREATE TABLE docker_containers (
    id TEXT, name TEXT, image TEXT, image_id TEXT, command TEXT, created BIGINT, state TEXT, status TEXT, pid TEXT, path TEXT,
    config_entrypoint TEXT, started_at TEXT, finished_at TEXT, privileged INTEGER, security_options TEXT, env_variables TEXT
);
CREATE TABLE etc_hosts (address TEXT, hostnames TEXT);
CREATE TABLE file (
    path TEXT, directory TEXT, filename TEXT, inode BIGINT, uid BIGINT, gid BIGINT, mode TEXT, device BIGINT, size BIGINT,
    block_size INTEGER, atime BIGINT, mtime BIGINT, ctime BIGINT, btime BIGINT, hard_links INTEGER, symlink INTEGER, type TEXT
);
CREATE TABLE groups (gid BIGINT, gid_signed BIGINT, groupname TEXT);
CREATE TABLE interface_addresses (interface TEXT, address TEXT, mask TEXT, broadcast TEXT, point_to_point TEXT, type TEXT);
CREATE TABLE interface_details (
    interface TEXT, mac TEXT, type INTEGER, mtu INTEGER, metric INTEGER, ipackets BIGINT, opackets BIGINT, ibytes BIGINT,
    obytes BIGINT, ierrors BIGINT, oerrors BIGINT, last_change BIGINT
);
CREATE TABLE iptables (
    filter_name TEXT, chain TEXT, policy TEXT, target TEXT, protocol INTEGER, src_port TEXT, dst_port TEXT, src_ip TEXT,
    src_mask TEXT, iniface TEXT, iniface_mask TEXT, dst_ip TEXT, dst_mask TEXT, outiface TEXT, outiface_mask TEXT, "match" TEXT,
    packets INTEGER, bytes INTEGER
);
CREATE TABLE kernel_info (version TEXT, arguments TEXT, path TEXT, device TEXT);
CREATE TABLE kernel_modules (name TEXT, size BIGINT, used_by TEXT, status TEXT, address TEXT);
CREATE TABLE last (username TEXT, tty TEXT, pid INTEGER, type INTEGER, time INTEGER, host TEXT);
CREATE TABLE listening_ports (
    pid INTEGER, port INTEGER, protocol INTEGER, family INTEGER, address TEXT, fd BIGINT, socket BIGINT, path TEXT, net_namespace TEXT
);
CREATE TABLE logged_in_users (type TEXT, user TEXT, tty TEXT, host TEXT, time BIGINT, pid INTEGER);
CREATE TABLE mounts (
    device TEXT, device_alias TEXT, path TEXT, type TEXT, blocks_size BIGINT, blocks BIGINT, blocks_free BIGINT,
    blocks_available BIGINT, inodes BIGINT, inodes_free BIGINT, flags TEXT
);
CREATE TABLE process_envs (pid INTEGER, key TEXT, value TEXT);
CREATE TABLE process_memory_map (
    pid INTEGER, start TEXT, "end" TEXT, permissions TEXT, "offset" BIGINT, device TEXT, inode INTEGER, path TEXT, pseudo INTEGER
);
CREATE TABLE process_namespaces (
    pid INTEGER, cgroup_namespace TEXT, ipc_namespace TEXT, mnt_namespace TEXT, net_namespace TEXT, pid_namespace TEXT,
    user_namespace TEXT, uts_namespace TEXT
);
CREATE TABLE process_open_files (pid BIGINT, fd BIGINT, path TEXT);
CREATE TABLE process_open_sockets (
    pid INTEGER, fd BIGINT, socket BIGINT, family INTEGER, protocol INTEGER, local_address TEXT, remote_address TEXT,
    local_port INTEGER, remote_port INTEGER, path TEXT, state TEXT, net_namespace TEXT
);
CREATE TABLE processes (
    pid BIGINT, name TEXT, path TEXT, cmdline TEXT, state TEXT, cwd TEXT, root TEXT, uid BIGINT, gid BIGINT, euid BIGINT,
    egid BIGINT, suid BIGINT, sgid BIGINT, on_disk INTEGER, wired_size BIGINT, resident_size BIGINT, total_size BIGINT,
    user_time BIGINT, system_time BIGINT, disk_bytes_read BIGINT, disk_bytes_written BIGINT, start_time BIGINT, parent BIGINT,
    pgroup BIGINT, threads INTEGER, nice INTEGER, cgroup_path TEXT
);
CREATE TABLE routes (
    destination TEXT, netmask INTEGER, gateway TEXT, source TEXT, flags INTEGER, interface TEXT, mtu INTEGER, metric INTEGER,
    type TEXT, hopcount INTEGER
);
CREATE TABLE shadow (
    password_status TEXT, hash_alg TEXT, last_change BIGINT, "min" BIGINT, "max" BIGINT, warning BIGINT, inactive BIGINT,
    expire BIGINT, flag BIGINT, username TEXT
);
CREATE TABLE shared_memory (
    shmid INTEGER, owner_uid BIGINT, creator_uid BIGINT, pid BIGINT, creator_pid BIGINT, atime BIGINT, dtime BIGINT, ctime BIGINT,
    permissions TEXT, size BIGINT, attached INTEGER, status TEXT, locked INTEGER
);
CREATE TABLE shell_history (uid BIGINT, time INTEGER, command TEXT, history_file TEXT);
CREATE TABLE startup_items (name TEXT, path TEXT, args TEXT, type TEXT, source TEXT, status TEXT, username TEXT);
CREATE TABLE sudoers (source TEXT, header TEXT, rule_details TEXT);
CREATE TABLE suid_bin (path TEXT, username TEXT, groupname TEXT, permissions TEXT);
CREATE TABLE system_controls (name TEXT, oid TEXT, subsystem TEXT, current_value TEXT, config_value TEXT, type TEXT);
CREATE TABLE systemd_units (
    id TEXT, description TEXT, load_state TEXT, active_state TEXT, sub_state TEXT, following TEXT, object_path TEXT, job_id BIGINT,
    job_type TEXT, job_path TEXT, fragment_path TEXT, user TEXT, source_path TEXT
);
CREATE TABLE user_groups (uid BIGINT, gid BIGINT);
CREATE TABLE user_ssh_keys (uid BIGINT, path TEXT, encrypted INTEGER, key_type TEXT);
CREATE TABLE users (
    uid BIGINT, gid BIGINT, uid_signed BIGINT, gid_signed BIGINT, username TEXT, description TEXT, directory TEXT, shell TEXT, uuid TEXT
);
