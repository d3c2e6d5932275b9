# %% [markdown]
# # One change, many hosts: roll-out or lead?
#
# What 400 of 400 hosts have is a roll-out: ask the people who roll out. What one host has is a lead: look at it first, whatever
# its severity. In between stands a roll-out that is under way, a half-patched fleet, or a worm: look at the times.

# %% tags=["parameters"]
source = ""  # folders collected from hosts, stores, findings, one a line; empty: the sample
config = ""  # a configuration, for this host's own store
since = ""  # only what was still seen then or later: 2026-11-22, 24h
host = ""  # a host's name, or a pattern
hosts = 0  # how many hosts there are; 0: as many as have findings, which overstates every share

# %%
from fimkit.notebook import Frame, open_parameters

archive, on_sample = open_parameters(source, config, sample="fleet-01")
findings = archive.findings(since=since or None, host=host or None)
findings.fim.pivot("host", "severity")

# %% [markdown]
# ## The same bytes on many hosts
#
# By path and hash together: the same file with the same content. The rare and severe come first. A hash that is on one host
# only, of a path that all hosts have changed, is the one that hides in a roll-out.

# %%
spread = findings.fim.prevalence("path", "sha256", hosts=hosts or None)
spread

# %% [markdown]
# ## Leads
#
# On one host only.

# %%
leads = spread[spread["reading"] == "lead"]
leads[["severity", "path", "where", "first", "sha256"]]

# %% [markdown]
# ## The same path, other bytes
#
# A roll-out gives all hosts the same bytes. A path that has two hashes where nearly all have one deserves a look at the odd one
# out.

# %%
by_name = spread.groupby("path")
variants = by_name.agg(contents=("sha256", "nunique"), hosts=("hosts", "sum"), first=("first", "min"), last=("last", "max"))
Frame(variants.sort_values("contents", ascending=False).reset_index())

# %% [markdown]
# ## How it spread
#
# A configuration manager goes through its hosts within minutes, in the order of its list, and the same program does it
# everywhere.

# %%
findings.fim.timeline("auto")

# %%
findings.fim.prevalence("exe", "auid", hosts=hosts or None) if findings["auid"].notna().any() else findings.fim.prevalence("exe")

# %%
if on_sample and not host and not since:
    by_path = {(row["path"].removeprefix("/srv/fim/tree/")): row for row in spread.to_dict("records")}
    assert spread["of"].unique().tolist() == [8]
    assert by_path["etc/app3.conf"]["reading"] == "roll-out" and by_path["etc/app3.conf"]["hosts"] == 8
    assert by_path["etc/app2.conf"]["reading"] == "" and by_path["etc/app2.conf"]["hosts"] == 5
    assert by_path["sbin/tool2"]["reading"] == "lead" and by_path["sbin/tool2"]["where"] == "web03"
    assert leads["path"].iloc[0] == "/srv/fim/tree/sbin/tool2"  # the most severe of what only one host has
    assert set(leads["where"]) == {"web03", "web06"}
