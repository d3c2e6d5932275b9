# %% [markdown]
# # One session: all that a login touched
#
# `auid` is who logged in, `ses` which login it was. Both stay the same through `su`, `sudo` and `setuid` programs, so that they
# hold a person's work together whatever user it ran as. A service has neither: there, follow the process.

# %% tags=["parameters"]
source = ""  # what to open, one a line; empty: the sample
config = ""  # a configuration, for this host's own store
since = ""  # only what was still seen then or later: 2026-11-22, 24h
host = ""  # a host's name, or a pattern
auid = -1  # the login's user id; -1: the login of the worst finding that has one
ses = -1  # the login session; -1: all of them
pid = -1  # a process; -1: the first that made a finding

# %%
import json

from fimkit.notebook import find_sample, open_parameters

archive, on_sample = open_parameters(source, config, sample="incident-01")
asked = (auid, ses, pid) != (-1, -1, -1)
findings = archive.findings(since=since or None, host=host or None)
events = archive.events(since=since or None, host=host or None)
if not asked:
    logins = findings[findings["auid"].notna()].sort_values(["severity", "first_seen"], ascending=[False, True])
    auid = int(logins["auid"].iloc[0]) if len(logins) else -1
who = {name: value for name, value in (("auid", auid), ("ses", ses)) if value != -1}
who

# %% [markdown]
# ## What was judged of it
#
# The findings that a process of this login had a part in, in order. Look at the first rows: how did it begin? And at the last:
# what was to stay?

# %%
touched = findings.fim.session(**who) if who else findings.fim.timeline()
touched

# %% [markdown]
# ## Everything that was recorded of it
#
# Findings are what differs; records are what was done. What was written and put back, and every program whose start a rule
# records, is only here. With `fimkit.open("/var/lib/fimkit", "/var/log/audit/audit.log")` the log's own events come beside the
# store's.

# %%
recorded = events.fim.session(**who) if who else events.fim.timeline()
recorded

# %% [markdown]
# ## The process tree
#
# Its ancestors first, then all that it started: an interactive shell looks otherwise than a cron job or a web server's child. A
# process that is only named as a parent left no record of its own. For the siblings, ask for the parent.

# %%
if pid == -1 and len(touched) and touched["pid"].notna().any():
    pid = int(touched["pid"].dropna().iloc[0])
tree = events.fim.process_tree(pid, host=host or None) if pid != -1 and len(events) else events.fim.timeline()
tree

# %% [markdown]
# ## Where it was
#
# Folders by how much was done there, to see in one look what it was after.

# %%
folders = recorded.assign(folder=recorded["path"].str.rsplit("/", n=1).str[0])
folders.fim.top("folder", by="count")

# %%
if on_sample and not asked:
    truth = [json.loads(line) for line in (find_sample() / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    assert auid == 1002  # who put a trojan into sbin
    of_login = {step["path"] for step in truth if step["auid"] == 1002 and step["kind"] != "none"}
    assert set(touched["path"]) == of_login, (set(touched["path"]), of_login)
    pids = {step["pid"] for step in truth if step["auid"] == 1002 and step["pid"] is not None}
    assert pids <= set(recorded["pid"].dropna().astype(int))
    alice = {step["path"] for step in truth if step["auid"] == 1000 and step["kind"] != "none"}
    assert set(findings.fim.session(auid=1000)["path"]) == alice
    assert (tree["pid"] == pid).sum() == 1
    assert tree["tree"].str.contains("▶").sum() == 1
