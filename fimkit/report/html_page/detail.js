// One finding whole: what it was and is, who and by which processes, why it is judged so, and the records it stands on.
const LABELS = { mtime_ns: "modified", ctime_ns: "changed", uid: "owner", gid: "group", nlink: "links", xattrs: "attributes", sha256: "SHA-256", dev: "device" };
const RARE = new Set(["dev", "inode", "nlink", "ctime_ns"]);

function stateText(name, value) {
  if (value === null || value === undefined) return "";
  if (!name.endsWith("_ns")) return String(value);
  const rest = value.length > 9 ? value.slice(-9).replace(/0+$/, "") : "";
  return utc(Number(BigInt(value) / 1000000n)) + (rest ? `.${rest}` : "");
}

function drawStates(i) {
  const before = F.before[i], after = F.after[i];
  if (!before && !after) return el("p", {}, "Neither state is known: it came and went between two looks, or was never made.");
  const lines = [], sides = [before ? "Before" : null, after ? "After" : null].filter(Boolean);
  D.state.forEach((name, place) => {
    const old = stateText(name, before?.[place]), now = stateText(name, after?.[place]), differs = before && after && old !== now;
    if ((old || now) && (differs || !RARE.has(name))) lines.push(el("tr", { class: differs ? "differs" : "" },
      el("th", { scope: "row" }, LABELS[name] ?? name, differs ? el("span", { class: "sr" }, " (differs)") : null), before ? el("td", { class: "old" }, old || "–") : null, after ? el("td", { class: "new" }, now || "–") : null));
  });
  return [el("table", { class: "states" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "What"), sides.map((side) => el("th", { scope: "col" }, side)))), el("tbody", {}, lines)),
    before && after ? null : el("p", { class: "hint" }, before ? "Afterwards it is not there." : "Before, it was not there.")];
}

function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function drawPeople(i) {
  if (!F.actors[i].length) return el("p", {}, "Nobody is named: nothing that was recorded explains it. The reasons say more.");
  return el("ol", { class: "actors" }, F.actors[i].map(([number, time, event]) => {
    const one = D.actors[number];
    return el("li", {},
      el("p", { class: "who" }, el("b", {}, one.login), ` · ${one.exe ?? one.comm ?? "program not known"}`),
      one.cmd === undefined ? null : el("pre", { class: "cmd" }, one.cmd),
      one.cmd !== undefined && !one.sure ? el("p", { class: "hint" }, "The command line is the kernel's note of the process when it was first recorded, not of its own EXECVE record.") : null,
      facts([["when", `${utc(time, 3)} UTC`], ["call", one.syscall], ["pid", one.pid], ["parent", one.ppid], ["uid", one.uid], ["euid", one.euid === one.uid ? null : one.euid], ["tty", one.tty], ["session", one.ses], ["event", event]]),
      one.parents ? el("div", {}, el("p", { class: "hint" }, "Started by, the nearest first, as far as recorded:"), el("ol", { class: "parents" }, one.parents.map((parent) => el("li", {}, `pid ${parent.pid}, ${parent.exe ?? "?"} `, parent.cmd ? el("code", {}, parent.cmd) : null)))) : null);
  }));
}

function drawMarks(i) {
  const marks = F.content[i];
  if (marks === null) return null;
  const found = marks.map(([rule, severity, line, text, attack]) => el("li", {}, el("b", {}, rule), ` (${[severity, line ? `line ${line}` : "", attack].filter(Boolean).join(", ")}) `, el("code", {}, text)));
  return [el("h3", {}, "Content"), found.length ? el("ul", {}, found) : el("p", {}, "The file was searched; no rule found anything in it.")];
}

function drawDiff(i) {
  if (!F.diff[i]) return null;
  const kind = (line) => (line.startsWith("@@") ? "place" : line.startsWith("+") ? "added" : line.startsWith("-") ? "taken" : "same");
  return [el("h3", {}, "Text"), el("pre", { class: "diff" }, F.diff[i].map((line) => el("span", { class: kind(line) }, line, "\n")))];
}

// The same for each finding of a kind, tier and verdict, and still what a reader asks first.
const VERDICTS = { expected: "a signed package or an accepted change proves it", unexplained: "nothing that is known explains it", suspect: "what speaks against it is said below" };
function judgement(i) {
  return `${SEVERITIES[F.severity[i]]}: ${D.words.kind[F.kind[i]]}, on a path of the ${D.words.tier[F.tier[i]]} tier; ${VERDICTS[D.words.verdict[F.verdict[i]]]}`;
}

function drawDetail(i) {
  const reasons = [judgement(i), ...F.reasons[i].map((number) => D.reasons[number])].map((words) => el("li", {}, words));
  return el("div", { class: "inner" },
    el("section", {}, el("h3", {}, "What"), drawStates(i), drawMarks(i), drawDiff(i)),
    el("section", {}, el("h3", {}, "Who"), drawPeople(i)),
    el("section", {}, el("h3", {}, "Why it is judged so"), el("ul", {}, reasons)),
    el("section", {}, el("h3", {}, "Evidence"), facts([["finding", el("code", {}, F.id[i])], ["path", F.path[i]], ["moved to", F.to[i]], ["host", F.host[i]], ["tier", D.words.tier[F.tier[i]]], ["status", D.statuses[F.status[i]]],
      ["changed", F.changed[i].join(", ")], ["seen by", F.sources[i].join(", ")], ["first seen", `${utc(F.first[i], 3)} UTC`], ["last seen", `${utc(F.last[i], 3)} UTC`],
      ["audit events", F.evidence[i].length ? el("code", {}, F.evidence[i].join(" ")) : null]])));
}
