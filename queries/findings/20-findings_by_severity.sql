-- How many findings are open, by severity and attribution
-- Why: a number to draw over time, for each host of a fleet.
-- Cost: a walk through the findings; two columns travel.
-- Platform: linux
-- Interval: 3600
-- Snapshot: yes
-- Version: 4.6.0
-- Source: fimkit's tables, `fimkit extension --columns`

SELECT severity, attribution, count(*) AS findings, min(first_seen_time) AS oldest_time
FROM fimkit_findings
WHERE status = 'open'
GROUP BY severity, attribution;
