# %% [markdown]
# # Tuning: what is noise, and what does it cost?
#
# A tool that cries wolf is switched off. But every exclude is a place to hide in, so this notebook ranks what is noisy, and
# says what an exclude would have hidden.

# %% tags=["parameters"]
source = ""  # what to open, one a line; empty: the sample
config = ""  # a configuration, for this host's own store
since = ""  # only what was still seen then or later: 2026-11-22, 24h
host = ""  # a host's name, or a pattern

# %%
from fimkit.notebook import open_parameters

archive, on_sample = open_parameters(source, config, sample="incident-01")
findings = archive.findings(since=since or None, host=host or None)
changes = archive.changes(since=since or None, host=host or None)
events = archive.events(since=since or None, host=host or None)


def folders_of(frame):
    """Add each path's folder."""
    return frame.assign(folder=frame["path"].str.rsplit("/", n=1).str[0])


findings.fim.pivot("verdict", "severity")

# %% [markdown]
# ## Which folders make the records?
#
# Each change is a record that the kernel wrote, auditd stored and fimkit read. A folder with many changes and no findings is a
# candidate for `exclude`: its files come and go and end up as they were.

# %%
written = folders_of(changes).groupby("folder").size().rename("changes")
found = folders_of(findings).groupby("folder").size().rename("findings")
noise = written.to_frame().join(found).fillna({"findings": 0}).astype({"findings": int})
noise["share"] = (noise["changes"] / max(noise["changes"].sum(), 1)).round(3)
quiet = noise[noise["findings"] == 0].sort_values("changes", ascending=False)
quiet.reset_index().head(20)

# %% [markdown]
# ## Which findings say nothing?
#
# Severity info: times alone, or proved by a signed package. Programs that make only those are candidates for an accepted
# baseline and a kept archive, and not for an exclude.

# %%
findings[findings["severity"] == "info"].fim.top("exe", by="count")

# %% [markdown]
# ## Which rule costs?
#
# Events by the key of the rule that made them: fimkit's own has the key `fimkit`; what has another one is somebody else's, and
# costs as much; what has none is what the kernel records anyway: logins, and changes of its own rules. From a store the key is
# not known: open the log itself.

# %%
called = events[events["syscall"].notna()]
by_rule = called.assign(key=called["key"].fillna("(none)"))
by_rule.fim.top("key", by="count")

# %%
events.fim.top("syscall", by="count")

# %% [markdown]
# ## When?
#
# A steady background is a service; a spike at the same time each night is a backup or logrotate.

# %%
events.fim.timeline("auto")

# %% [markdown]
# ## What an exclude would have hidden
#
# Before you exclude a folder, look at every finding that ever was in it, closed ones too. Empty is not proof; it is a
# beginning.

# %%
hidden = findings[folders_of(findings)["folder"].isin(quiet.head(5).index)]
hidden[["severity", "kind", "path", "exe"]]

# %%
if on_sample and not host and not since:
    cache = "/srv/fim/tree/www/html/wp-content/cache"
    assert cache in quiet.index  # eight pages written, and nothing found: what the sample's configuration excludes
    assert quiet.index[0] == cache
    assert hidden.empty
    assert set(by_rule["key"]) == {"fimkit", "(none)"}
    assert by_rule.loc[by_rule["key"] == "(none)", "types"].str.contains("LOGIN|CONFIG_CHANGE|SOCKADDR").all()
