-- Who may become whom by sudo
-- Why: one line gives root away (ATT&CK T1548.003).
-- Platform: linux
-- Source: osquery's schema, sudoers

SELECT source, header, rule_details FROM sudoers;
