-- Names with an address of their own
-- Why: a line here turns updates and the mail server elsewhere (ATT&CK T1565.001).
-- Platform: linux
-- Source: osquery's schema, etc_hosts

SELECT address, hostnames FROM etc_hosts;
