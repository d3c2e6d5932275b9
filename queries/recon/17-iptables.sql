-- What the packet filter lets through
-- Why: an intruder opens a port or turns packets away to another one. Rules of nftables are not in this table.
-- Platform: linux
-- Source: osquery's schema, iptables

SELECT filter_name, chain, policy, target, protocol, src_ip, src_mask, src_port, dst_ip, dst_mask, dst_port,
       iniface, outiface, packets, bytes
FROM iptables;
