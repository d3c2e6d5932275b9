# %% [markdown]
# # One path's life
#
# A file is not its name: it is renamed, replaced, linked. So this follows the path through its renames, and the inode under
# every name that it had. Ask it of one path, of a folder, or of a pattern.

# %% tags=["parameters"]
source = ""  # what to open, one a line; empty: the sample
config = ""  # a configuration, for this host's own store
since = ""  # only what was still seen then or later: 2026-11-22, 24h
host = ""  # a host's name, or a pattern
path = ""  # the path, a folder, or a pattern; empty: the path of the worst finding

# %%
import json

from fimkit.notebook import find_sample, open_parameters

archive, on_sample = open_parameters(source, config, sample="incident-01")
findings = archive.findings(since=since or None, host=host or None)
if not path and len(findings):
    path = findings.sort_values(["severity", "first_seen"], ascending=[False, True])["path"].iloc[0]
path

# %% [markdown]
# ## What was judged
#
# One row a difference, oldest first. `what` says what became what; `status` says whether somebody accepted it.

# %%
life = findings.fim.history(path)
life

# %% [markdown]
# ## What was recorded
#
# The claims of audit and osquery, before anybody judged them, with all names of the same inode. This is where a file that was
# made elsewhere and moved here shows where it comes from. audit says who; osquery says what the bytes were, seconds later. A
# row that surprises you here and has no finding above is what to ask about.

# %%
changes = archive.changes(since=since or None, host=host or None)
changes.fim.history(path)

# %% [markdown]
# ## Who had to do with it
#
# Take the `pid` or `ses` of a row into `03_session`.

# %%
findings.fim.who(path)

# %% [markdown]
# ## What it should be
#
# The accepted state: what to restore it to, and the hash to look for in your backups.

# %%
archive.baseline(path=path or None, host=host or None).head(20)

# %%
if on_sample and path == "/srv/fim/tree/sbin/tool1":  # the worst that comes first: no record names a process
    assert list(life["attribution"]) == ["unattributed"]
    assert findings.fim.who(path).empty
if on_sample:
    renamed = findings.fim.history("/srv/fim/tree/etc/app9.bak")  # asked by its new name
    assert list(renamed["path"]) == ["/srv/fim/tree/etc/app9.conf"]
    assert list(renamed["kind"]) == ["moved"]
    both = changes.fim.history("/srv/fim/tree/etc/app9.conf")
    assert {"/srv/fim/tree/etc/app9.conf", "/srv/fim/tree/etc/app9.bak"} <= set(both["path"])
    truth = {row["step"]: row for row in map(json.loads, (find_sample() / "truth.jsonl").read_text(encoding="utf-8").splitlines())}
    for step in ("trojan", "append", "sed_i", "rename", "unlink"):
        who = findings.fim.who(truth[step]["path"])
        assert list(who["pid"]) == [truth[step]["pid"]], (step, who)
        assert list(who["exe"]) == [truth[step]["exe"]]
    two = findings.fim.who(truth["two_writers"]["path"])
    assert len(two) == 2  # two had it open at once: neither is named alone
