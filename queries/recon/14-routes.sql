-- Where packets go
-- Why: a route through another machine, or one that hides a network, is a quiet way to listen in.
-- Platform: linux
-- Source: osquery's schema, routes

SELECT destination, netmask, gateway, source, interface, metric, type FROM routes;
