-- Which kernel runs, and how it was started
-- Why: a kernel, or words on its command line (audit=0, init=…), that nobody has planned for.
-- Platform: linux
-- Source: osquery's schema, kernel_info

SELECT version, arguments, path, device FROM kernel_info;
