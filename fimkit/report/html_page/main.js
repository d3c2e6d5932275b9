// Joins the parts: what is asked for by cards, filters and chips; theme, printing, and drawing anew when the width changes.
const CHOICES = { kind: D.words.kind, verdict: D.words.verdict, attribution: D.words.attribution, tier: D.words.tier };
const MOST_PRINTED = 500;
const SHEET = 640; // what A4 and Letter leave between their margins, in pixels
const later = (action, ms) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(action, ms); }; };

function clearAll() {
  asked.severity.clear();
  Object.assign(asked, { folder: "", actor: null, cell: null, words: "", kind: "", verdict: "", attribution: "", tier: "", status: "" });
  for (const name of [...Object.keys(CHOICES), "status"]) $(`f-${name}`).value = "";
  $("search").value = "";
  zoomBy("all");
}

function drawChips() {
  const chips = [];
  const chip = (words, undo) => chips.push(el("button", { type: "button", class: "chip", "aria-label": `Take away the filter: ${words}`, onclick: () => { undo(); ask(); } }, words, el("span", { "aria-hidden": "true" }, " ✕")));
  for (const rank of asked.severity) chip(SEVERITIES[rank], () => asked.severity.delete(rank));
  if (asked.range) chip(span(asked.range), () => { view = WHOLE.slice(); asked.range = null; });
  if (asked.folder) chip(asked.folder, () => { asked.folder = ""; });
  if (asked.actor !== null) chip(asked.actor, () => { asked.actor = null; });
  if (asked.cell !== null) chip(`${rowName(Number(asked.cell.split(" ")[0]))}, hour ${asked.cell.split(" ")[1]}`, () => { asked.cell = null; });
  show("filters", chips.length ? [el("span", { class: "hint" }, "Shown are only: "), ...chips] : []);
}

function drawCards() {
  for (const card of document.querySelectorAll(".card")) card.setAttribute("aria-pressed", String(asked.severity.has(Number(card.dataset.severity))));
}

function drawAll() {
  drawCards(); drawChips(); drawTimeline(); drawTreemap(); drawActors(); drawHours();
  page = 0;
  sortRows();
  drawTable();
}

for (const card of document.querySelectorAll(".card")) card.addEventListener("click", () => {
  const rank = Number(card.dataset.severity);
  if (!asked.severity.delete(rank)) asked.severity.add(rank);
  ask();
});
for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoomBy(button.dataset.zoom));
for (const [name, words] of Object.entries(CHOICES)) {
  const there = new Set(F[name] ?? []);
  show(`f-${name}`, el("option", { value: "" }, "any"), words.map((word, number) => (there.has(number) ? el("option", { value: number }, word) : null)).filter(Boolean));
  $(`f-${name}`).addEventListener("change", (event) => { asked[name] = event.target.value; ask(); });
}
show("f-status", [["", "any"], ["open", "open"], ["closed", "closed"]].map(([value, word]) => el("option", { value }, word)));
$("f-status").addEventListener("change", (event) => { asked.status = event.target.value; ask(); });
$("search").addEventListener("input", later(() => { asked.words = $("search").value; ask(); }, 150));
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("controls").addEventListener("reset", (event) => { event.preventDefault(); clearAll(); });
$("prev").addEventListener("click", () => turn(-1));
$("next").addEventListener("click", () => turn(1));
$("rows").addEventListener("change", (event) => { pageRows = Number(event.target.value); page = 0; drawTable(); });
$("print").addEventListener("click", () => print());
$("theme").addEventListener("click", () => {
  const root = document.documentElement, isDark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
});
const drawCharts = () => { drawTimeline(); drawTreemap(); drawHours(); };
addEventListener("beforeprint", () => { sheet = SHEET; drawCharts(); page = 0; drawTable(MOST_PRINTED); });
addEventListener("afterprint", () => { sheet = null; drawCharts(); drawTable(); });
let wide = document.body.clientWidth;
new ResizeObserver(later(() => {
  if (document.body.clientWidth === wide) return;
  wide = document.body.clientWidth;
  drawCharts();
}, 100)).observe(document.body);

document.documentElement.classList.add("scripts");
watchers.push(drawAll);
drawLegend();
ask();
document.documentElement.dataset.ready = "true";
