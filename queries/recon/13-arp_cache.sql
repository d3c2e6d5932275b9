-- Which neighbours this host has just talked to
-- Why: names machines of the same network that an intruder may have come from or gone to; it is forgotten within minutes.
-- Platform: linux
-- Source: osquery's schema, arp_cache

SELECT address, mac, interface, permanent FROM arp_cache;
