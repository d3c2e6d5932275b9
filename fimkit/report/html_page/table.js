// The table: what is meant, a page of it at a time, sorted by its headings.
const COLUMNS = [
  ["severity", "Severity", (i) => F.severity[i]],
  ["time", "Time, UTC", (i) => F.time[i]],
  ["kind", "Kind", (i) => D.words.kind[F.kind[i]]],
  ["path", "Path", (i) => NAMES[i]],
  ["who", "Who", (i) => whoOf(i)],
  ["attribution", "Attribution", (i) => F.attribution[i]],
  ["verdict", "Verdict", (i) => F.verdict[i]],
];
const FALLING = new Set(["severity", "verdict"]);
let order = { column: "severity", falling: true };
let page = 0;
let pageRows = 50;
let rows = [];
const opened = new Set();

function whoOf(i) {
  if (!F.actors[i].length) return "";
  const one = D.actors[F.actors[i][0][0]];
  return `${one.login} · ${(one.exe ?? one.comm ?? "?").split("/").pop()}`;
}

function sortRows() {
  const value = COLUMNS.find(([name]) => name === order.column)[2], sign = order.falling ? -1 : 1;
  const keyed = meant().map((i) => [value(i), i]);
  keyed.sort(([a, i], [b, j]) => (a === b ? i - j : (a < b ? -1 : 1) * sign)); // what is equal stays in the order of severity and time
  rows = keyed.map(([, i]) => i);
}

function sortBy(name) {
  order = { column: name, falling: order.column === name ? !order.falling : FALLING.has(name) };
  page = 0;
  sortRows();
  drawTable();
  $("table").querySelector(`[data-sort="${name}"]`).focus();
}

function drawTable(most = pageRows) {
  const pages = Math.max(Math.ceil(rows.length / most), 1);
  page = Math.min(page, pages - 1);
  const shown = rows.slice(page * most, (page + 1) * most);
  if (!shown.length) $("table").replaceChildren(el("p", { class: "none" }, N ? "No finding is as asked for. “Clear filters” shows all again." : "There are no findings."));
  else $("table").replaceChildren(el("table", { role: "table", "aria-rowcount": rows.length + 1, "aria-label": "Findings" }, drawHead(), el("tbody", { role: "rowgroup" }, shown.map(drawRow))));
  show("count", rows.length === N ? many(N, "finding") : `${rows.length.toLocaleString("en")} of ${many(N, "finding")}`);
  show("page", rows.length ? `${(page * most + 1).toLocaleString("en")} to ${Math.min((page + 1) * most, rows.length).toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "");
  $("prev").disabled = page === 0;
  $("next").disabled = page >= pages - 1;
}

function drawHead() {
  const cells = COLUMNS.map(([name, label]) => {
    const sorted = order.column === name, way = order.falling ? "descending" : "ascending";
    return el("th", { role: "columnheader", scope: "col", "aria-sort": sorted ? way : "none" },
      el("button", { type: "button", "data-sort": name, onclick: () => sortBy(name) }, label, el("span", { "aria-hidden": "true" }, sorted ? (order.falling ? " ▾" : " ▴") : "")));
  });
  return el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, cells));
}

function drawRow(i) {
  const severity = SEVERITIES[F.severity[i]], open = opened.has(i), name = `detail-${i}`;
  const cell = (label, column, ...inside) => el("td", { role: "cell", "data-label": label, class: `c-${column}` }, inside);
  const button = el("button", { type: "button", class: "open", "aria-expanded": String(open), "aria-controls": name }, el("span", {}, el("span", { class: "path" }, NAMES[i]), F.to[i] === null ? null : el("span", { class: "to" }, "→ ", F.to[i])));
  const row = el("tr", { role: "row", class: `row ${isOpen(i) ? "" : "settled"}`, "data-id": F.id[i] },
    cell("Severity", "severity", el("span", { class: `badge ${severity}` }, severity)), cell("Time, UTC", "time", el("time", {}, utc(F.time[i]))),
    cell("Kind", "kind", D.words.kind[F.kind[i]]), cell("Path", "path", button, isOpen(i) ? null : el("span", { class: "status" }, D.statuses[F.status[i]])),
    cell("Who", "who", whoOf(i) ? el("span", { class: "by" }, whoOf(i)) : el("span", { class: "hint" }, NO_ACTOR)), cell("Attribution", "attribution", D.words.attribution[F.attribution[i]]),
    cell("Verdict", "verdict", D.words.verdict[F.verdict[i]]));
  const detail = el("tr", { role: "row", class: "detail", id: name, hidden: !open }, el("td", { role: "cell", colspan: COLUMNS.length }, open ? drawDetail(i) : null));
  const toggle = () => {
    const now = !opened.has(i);
    if (now) opened.add(i); else opened.delete(i);
    detail.hidden = !now;
    button.setAttribute("aria-expanded", String(now));
    detail.firstChild.replaceChildren(...(now ? [drawDetail(i)] : []));
  };
  button.addEventListener("click", toggle);
  row.addEventListener("click", (event) => { if (!button.contains(event.target) && !String(getSelection())) toggle(); });
  return [row, detail];
}

function turn(by) {
  page += by;
  drawTable();
  $("findings").scrollIntoView({ block: "start" });
}
