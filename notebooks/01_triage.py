# %% [markdown]
# # Triage: what matters, first
#
# You have five minutes. This notebook answers, in this order: can I trust what I see, what is worst, when did it happen, who
# did it, and what do I look at next. Every table is a pandas frame: take a cell and go on from there.

# %% tags=["parameters"]
source = ""  # what to open, one a line; empty: the sample
config = ""  # a configuration, for this host's own store
since = ""  # only what was still seen then or later: 2026-11-22, 24h
host = ""  # a host's name, or a pattern

# %%
import json

import fimkit
from fimkit.notebook import Frame, find_sample, open_parameters

archive, on_sample = open_parameters(source, config, sample="incident-01")
findings = archive.findings(since=since or None, host=host or None)
still_open = findings[findings["status"] == "open"]
still_open.fim.top("severity", by="count")

# %% [markdown]
# ## Can I trust it?
#
# A log that could not be read is a hole, and whoever has root makes holes. What could not be read is listed here; an empty list
# is what you want. Then look at *attribution*: `exact` means that all that was recorded and can explain the change is one
# process's. `unattributed` means that nothing recorded explains it: a hard link, a mount, a time without auditing, or somebody
# who knew how.

# %%
Frame({"could not be read": list(archive.problems)})

# %% [markdown]
# And what could not be *seen*: times without auditing, lost records, rules taken out, a watch that was killed. No finding in such a
# time is not the same as nothing that happened.

# %%
archive.coverage(since=since or None, host=host or None)

# %%
still_open.fim.pivot("attribution", "severity")

# %%
unattributed = still_open[still_open["attribution"] == "unattributed"]
unattributed[["severity", "kind", "path", "reasons"]]

# %% [markdown]
# ## What is worst?
#
# Severity comes from the tier of the path and the kind of the change, and not from how often it happened. Read the *reasons*:
# they say what speaks against it in words.

# %%
worst = still_open.sort_values(["severity", "first_seen"], ascending=[False, True])
worst[["severity", "kind", "path", "user", "auid", "exe", "cmdline", "reasons"]].head(20)

# %% [markdown]
# ## When?
#
# One narrow block is one intruder at work, or one administrator. Blocks at the same minute of each hour are a cron job.

# %%
still_open.fim.timeline("auto")

# %% [markdown]
# ## Who?
#
# Ranked by severity and not by count: a package manager makes a thousand findings and one intruder makes three. `auid` is the
# login, and stays the same through `su` and `sudo`; none is a service, cron, or a web server.

# %%
still_open.fim.top("exe")

# %%
numbers = "auid " + still_open["auid"].astype("str")
logins = still_open.assign(login=(still_open["user"] + ", " + numbers).fillna(numbers).fillna("no login"))
logins.fim.top("login")

# %% [markdown]
# ## What next?
#
# For each login of a critical or high finding: `03_session` with its `auid`. For each of these paths: `02_path_history`.

# %%
serious = still_open[still_open["severity"] >= "high"]
serious[["path", "auid", "ses", "pid", "id"]]

# %%
if on_sample and not host and not since:
    truth = [json.loads(line) for line in (find_sample() / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    told = {row["path"]: row for row in findings.to_dict("records")}
    for step in truth:
        if step["kind"] in ("none", "any"):
            assert step["path"] not in told or told[step["path"]]["kind"] == "attributes" or step["kind"] == "any", step
            continue
        found = told[step["path"]]
        assert found["kind"] == step["kind"], (found["path"], found["kind"], step["kind"])
        assert found["attribution"] == step["attribution"], (found["path"], found["attribution"])
    assert archive.problems == ()
    assert list(unattributed["path"]) == [step["path"] for step in truth if step["attribution"] == "unattributed"]
    names = ("bin/newtool", "home/alice/sh", "sbin/tool1", "sbin/tool2", "sbin/tool3")
    assert sorted(serious["path"]) == [f"/srv/fim/tree/{name}" for name in names]
    assert still_open.fim.top("exe")["exe"].iloc[0] == "/usr/bin/cp"
    print(f"the answers are those of the sample's truth: {len(truth)} steps (fimkit {fimkit.__version__})")
