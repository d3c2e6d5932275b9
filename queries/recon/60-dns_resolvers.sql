-- Whom this host asks for names
-- Why: a resolver of the intruder's answers as he likes.
-- Platform: linux
-- Source: osquery's schema, dns_resolvers

SELECT id, type, address, netmask, options FROM dns_resolvers;
