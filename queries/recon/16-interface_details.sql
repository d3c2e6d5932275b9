-- How much went in and out of each interface
-- Why: the counters of bytes tell how much has been carried off; they are gone with the link.
-- Platform: linux
-- Source: osquery's schema, interface_details

SELECT interface, mac, type, mtu, ipackets, opackets, ibytes, obytes, ierrors, oerrors
FROM interface_details;
