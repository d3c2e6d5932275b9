// What the findings are, which of them are meant, and how an element is made: text goes in as text, never as markup.
const D = JSON.parse(document.getElementById("data").textContent);
const F = D.findings;
const N = F.id.length;
const SEVERITIES = D.words.severity;
const NO_ACTOR = "nobody is named";
const $ = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== false) node.append(child instanceof Node ? child : String(child));
  return node;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const show = (id, ...children) => $(id).replaceChildren(...children.flat(3).map((one) => (one instanceof Node ? one : String(one))));
const many = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
// What is printed is drawn for the width of a sheet and not of the window.
let sheet = null;
const widthOf = (box) => sheet ?? Math.max(box.clientWidth, 240);
const two = (number) => String(number).padStart(2, "0");
function utc(ms, digits = 0) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "?";
  return date.toISOString().replace("T", " ").replace("Z", "").slice(0, digits ? 23 : 19);
}

// A person is a login, or, without one, the user that the program ran as.
const KEYS = D.actors.map((actor) => actor.login);
const PEOPLE = Array.from({ length: N }, (_, i) => (F.actors[i].length ? [...new Set(F.actors[i].map((one) => KEYS[one[0]]))] : [NO_ACTOR]));
const MANY_HOSTS = new Set(F.host ?? []).size > 1;
const NAMES = Array.from({ length: N }, (_, i) => (MANY_HOSTS ? F.host[i] : "") + F.path[i]);

const texts = new Array(N);
function textOf(i) {
  if (texts[i] === undefined) {
    const who = F.actors[i].map(([number, , event]) => {
      const one = D.actors[number];
      return [one.login, one.exe, one.cmd, one.comm, one.pid, event].join(" ");
    });
    texts[i] = [NAMES[i], F.to[i], F.id[i], F.host[i], F.after[i]?.join(" "), F.before[i]?.join(" "), F.evidence[i].join(" "), ...who,
      ...F.reasons[i].map((number) => D.reasons[number])].join(" ").toLowerCase();
  }
  return texts[i];
}

function span([from, to]) {
  const first = utc(from), last = utc(to);
  if (first === last) return first;
  return `${first} to ${first.slice(0, 10) === last.slice(0, 10) ? last.slice(11) : last}`;
}

// What is asked for. Each has a bit, so that a chart can leave its own question out: it shows what could be chosen instead.
const asked = { severity: new Set(), range: null, folder: "", actor: null, cell: null, words: "", kind: "", verdict: "", attribution: "", tier: "", status: "" };
const BITS = { severity: 1, range: 2, folder: 4, actor: 8, cell: 16, words: 32, other: 64 };
const misses = new Uint8Array(N);
const watchers = [];

const below = (name, folder) => folder === "" || name === folder || name.startsWith(folder.endsWith("/") ? folder : folder + "/");
const isOpen = (i) => F.status[i] === 0;
function missesOther(i) {
  for (const name of ["kind", "verdict", "attribution", "tier"]) if (asked[name] !== "" && F[name][i] !== Number(asked[name])) return true;
  return asked.status !== "" && isOpen(i) !== (asked.status === "open");
}

function ask() {
  const words = asked.words.toLowerCase().split(/\s+/).filter(Boolean);
  for (let i = 0; i < N; i++) {
    let miss = 0;
    if (asked.severity.size && !asked.severity.has(F.severity[i])) miss |= BITS.severity;
    if (asked.range && (F.time[i] < asked.range[0] || F.time[i] > asked.range[1])) miss |= BITS.range;
    if (!below(NAMES[i], asked.folder)) miss |= BITS.folder;
    if (asked.actor !== null && !PEOPLE[i].includes(asked.actor)) miss |= BITS.actor;
    if (asked.cell !== null && cellOf(F.time[i]) !== asked.cell) miss |= BITS.cell;
    if (words.length && !words.every((word) => textOf(i).includes(word))) miss |= BITS.words;
    if (missesOther(i)) miss |= BITS.other;
    misses[i] = miss;
  }
  for (const watcher of watchers) watcher();
}

function meant(except = 0) {
  const found = [];
  for (let i = 0; i < N; i++) if ((misses[i] & ~except) === 0) found.push(i);
  return found;
}

// Smallest and largest without spreading: a hundred thousand arguments are too many for a call.
function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  return low <= high ? [low, high] : null;
}

function press(action) {
  return { tabindex: "0", onclick: action, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(event); } } };
}
