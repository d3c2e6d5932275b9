-- Which addresses this host has
-- Why: an address or a tunnel that nobody has planned for; and what the logs of other machines call this host.
-- Platform: linux
-- Source: osquery's schema, interface_addresses

SELECT interface, address, mask, broadcast, point_to_point, type FROM interface_addresses;
