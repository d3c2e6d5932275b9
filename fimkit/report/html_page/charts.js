// Where, by whom, and at what hour: a treemap of folders, people by severity, and a heat map.
const MOST_TILES = 40;
const MOST_PEOPLE = 12;

function worstFirst(a, b) {
  for (let rank = SEVERITIES.length - 1; rank >= 0; rank--) if (a.counts[rank] !== b.counts[rank]) return b.counts[rank] - a.counts[rank];
  return a.name < b.name ? -1 : 1;
}

function group(found, keysOf) {
  const groups = new Map();
  for (const i of found) for (const key of keysOf(i)) {
    let one = groups.get(key);
    if (one === undefined) groups.set(key, (one = { name: key, counts: new Array(SEVERITIES.length).fill(0), total: 0, rows: [] }));
    one.counts[F.severity[i]]++; one.total++; one.rows.push(i);
  }
  return [...groups.values()];
}

const worst = (counts) => counts.reduce((rank, count, one) => (count ? one : rank), 0);
const tell = (counts) => counts.map((count, rank) => (count ? `${count.toLocaleString("en")} ${SEVERITIES[rank]}` : "")).filter(Boolean).reverse().join(", ");

// Folders: at each level the names right below the folder that is open; a chain of single folders is one step.
function inside(name, folder) {
  const start = folder === "" || folder.endsWith("/") ? folder.length : folder.length + 1;
  if (name === folder) return name;
  const end = name.indexOf("/", Math.max(start, folder === "" && name.startsWith("/") ? 1 : start));
  return end === -1 ? name : name.slice(0, end);
}

function openFolder(found, folder) {
  let here = folder;
  for (;;) {
    const tiles = group(found, (i) => [inside(NAMES[i], here)]);
    if (tiles.length !== 1 || tiles[0].name === here || tiles[0].rows.every((i) => NAMES[i] === tiles[0].name)) return [here, tiles];
    here = tiles[0].name;
  }
}

// Squarified treemap: a row is filled as long as its worst shape gets better. Bruls, Huizing, van Wijk (2000).
function squarify(tiles, x, y, width, height) {
  const total = sum(tiles.map((tile) => tile.weight)), placed = [];
  let rest = tiles.slice(), area = (width * height) / total;
  while (rest.length) {
    const short = Math.min(width, height), row = [];
    let best = Infinity;
    while (rest.length) {
      const sizes = [...row, rest[0]].map((tile) => tile.weight * area), all = sum(sizes), thick = all / short;
      const shape = Math.max(...sizes.map((size) => Math.max(thick / (size / thick), size / thick / thick)));
      if (shape > best) break;
      best = shape; row.push(rest.shift());
    }
    const thick = sum(row.map((tile) => tile.weight * area)) / short;
    let along = 0;
    for (const tile of row) {
      const long = (tile.weight * area) / thick;
      placed.push(width >= height ? { tile, x, y: y + along, width: thick, height: long } : { tile, x: x + along, y, width: long, height: thick });
      along += long;
    }
    if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
  }
  return placed;
}

function drawTreemap() {
  const box = $("treemap"), width = widthOf(box), height = 270;
  const [here, every] = openFolder(meant(BITS.folder).filter((i) => below(NAMES[i], asked.folder)), asked.folder);
  drawCrumbs(here);
  if (!every.length) return void box.replaceChildren(el("p", { class: "none" }, "No findings here."));
  every.sort((a, b) => worst(b.counts) - worst(a.counts) || b.total - a.total);
  const tiles = every.slice(0, MOST_TILES);
  if (every.length > MOST_TILES) tiles.push(others(every.slice(MOST_TILES)));
  const all = sum(tiles.map((tile) => tile.total));
  for (const tile of tiles) tile.weight = Math.max(tile.total, all / 250); // what is rare must still be seen
  tiles.sort((a, b) => b.weight - a.weight);
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Findings by folder; a tile opens its folder" });
  for (const place of squarify(tiles, 0, 0, width, height)) picture.append(drawTile(place, here));
  box.replaceChildren(picture);
}

function others(rest) {
  const counts = SEVERITIES.map((_, rank) => sum(rest.map((tile) => tile.counts[rank])));
  return { name: null, label: `${rest.length.toLocaleString("en")} more`, counts, total: sum(counts), rows: [] };
}

function drawTile({ tile, x, y, width, height }, here) {
  const label = tile.label ?? (tile.name === here ? "(the folder itself)" : tile.name.slice(here === "" ? 0 : here.length).replace(/^\/(?=.)/, here === "" ? "/" : ""));
  const isFolder = tile.name !== null && !tile.rows.every((i) => NAMES[i] === tile.name);
  const words = `${tile.name ?? label}: ${tell(tile.counts)}`, top = SEVERITIES[worst(tile.counts)];
  const acts = tile.name === null ? {} : { role: "button", "aria-label": words, ...press(() => { asked.folder = asked.folder === tile.name ? "" : tile.name; ask(); }) };
  const inner = Math.max(width - 2, 1), tall = Math.max(height - 2, 1), names = svg("svg", { x: x + 1, y: y + 1, width: inner - Math.min(4, inner / 2), height: tall }); // cuts what is too long
  const one = svg("g", { class: `tile ${tile.name === null ? "" : "acts"}`, "data-path": tile.name, "data-worst": top, ...acts }, drawShares(tile.counts, { x: x + 1, y: y + 1, width: inner, height: tall }), names, svg("title", {}, words));
  if (height > 20 && width > 28) names.append(svg("text", { x: 6, y: 16 }, label.slice(0, 200) + (isFolder ? "/" : "")));
  if (height > 38 && width > 40) names.append(svg("text", { class: "small", x: 6, y: 32 }, tile.total.toLocaleString("en")));
  return one;
}

// A tile or a bar is filled by severity, the worst first; the rarest still has a sliver.
function drawShares(counts, { x, y, width, height }) {
  const least = Math.min(4, width / SEVERITIES.length), shares = counts.map((count) => (count ? Math.max(count, (sum(counts) * least) / width) : 0)), all = sum(shares);
  let at = x;
  return shares.map((share, rank) => [share, rank]).reverse().filter(([share]) => share).map(([share, rank]) => {
    const wide = (share / all) * width;
    at += wide;
    return svg("rect", { class: `fill-${SEVERITIES[rank]}`, x: at - wide, y, width: wide + 0.3, height });
  });
}

function drawCrumbs(here) {
  const parts = here.split("/").filter(Boolean), crumbs = [el("button", { type: "button", "data-folder": "", onclick: () => { asked.folder = ""; ask(); } }, "everywhere")];
  let folder = here.startsWith("/") ? "" : null;
  for (const part of parts) {
    folder = folder === null ? part : `${folder}/${part}`;
    const target = folder;
    crumbs.push(el("span", { "aria-hidden": "true" }, "/"), el("button", { type: "button", "data-folder": target, onclick: () => { asked.folder = target; ask(); } }, part));
  }
  show("crumbs", crumbs);
}

function drawActors() {
  const people = group(meant(BITS.actor), (i) => PEOPLE[i]).sort(worstFirst);
  if (!people.length) return void show("actors", el("p", { class: "none" }, "No findings here."));
  const most = Math.max(...people.map((one) => one.total));
  const list = el("ol", { class: "people" }, people.slice(0, MOST_PEOPLE).map((one) => drawPerson(one, most)));
  show("actors", list, people.length > MOST_PEOPLE ? el("p", { class: "hint" }, `and ${(people.length - MOST_PEOPLE).toLocaleString("en")} more; the table's search finds them`) : "");
}

function drawPerson(one, most) {
  const programs = group(one.rows, (i) => F.actors[i].filter(([number]) => KEYS[number] === one.name).map(([number]) => D.actors[number].exe ?? "?")).sort(worstFirst);
  const shown = [...new Set(programs.map((program) => program.name.split("/").pop()))];
  const times = extent(one.rows.map((i) => F.time[i]));
  const bar = svg("svg", { class: "share", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
  let at = 0;
  for (let rank = SEVERITIES.length - 1; rank >= 0; rank--) {
    const wide = (one.counts[rank] / most) * 100;
    if (wide) bar.append(svg("rect", { class: `fill-${SEVERITIES[rank]}`, x: at, y: 0, width: Math.max(wide, 0.6), height: 8 }));
    at += wide;
  }
  const pressed = asked.actor === one.name;
  return el("li", {}, el("button", { type: "button", class: "person", "aria-pressed": String(pressed), "data-actor": one.name, onclick: () => { asked.actor = pressed ? null : one.name; ask(); } },
    el("span", { class: "name" }, one.name), el("span", { class: "counts" }, tell(one.counts)), bar,
    el("span", { class: "hint" }, [shown.slice(0, 5).join(", ") + (shown.length > 5 ? ` and ${shown.length - 5} more` : ""), span(times)].filter(Boolean).join(" · "))));
}

// Hours: a row is a day where the days are few, else a day of the week.
const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DATED = new Set((F.time ?? []).map((ms) => Math.floor(ms / DAY)));
const BY_DATE = DATED.size <= 10;
const HOUR_ROWS = BY_DATE ? [...DATED].sort((a, b) => a - b) : DAYS.map((_, number) => number);
const rowOf = (ms) => (BY_DATE ? Math.floor(ms / DAY) : (Math.floor(ms / DAY) + 3) % 7);
const cellOf = (ms) => `${rowOf(ms)} ${Math.floor((ms % DAY) / HOUR)}`;
const rowName = (row) => (BY_DATE ? utc(row * DAY).slice(0, 10) : DAYS[row]);

function drawHours() {
  const box = $("hours"), left = BY_DATE ? 76 : 36, width = widthOf(box), size = (width - left) / 24, tall = Math.max(Math.min(size, 26), 18);
  const cells = new Map(group(meant(BITS.cell), (i) => [cellOf(F.time[i])]).map((one) => [one.name, one]));
  const most = extent([...cells.values()].map((one) => one.total))?.[1] ?? 1, height = HOUR_ROWS.length * tall + 18;
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Findings by hour of the day, UTC" });
  for (let hour = 0; hour < 24; hour += size < 16 ? 6 : 3) picture.append(svg("text", { class: "tick", x: left + hour * size, y: height - 4 }, two(hour)));
  HOUR_ROWS.forEach((row, line) => {
    picture.append(svg("text", { class: "tick", x: 0, y: line * tall + tall / 2 + 4 }, rowName(row)));
    for (let hour = 0; hour < 24; hour++) picture.append(drawCell(cells.get(`${row} ${hour}`), { row, hour, most, x: left + hour * size, y: line * tall, size, tall }));
  });
  box.replaceChildren(N ? picture : el("p", { class: "none" }, "No findings here."));
  show("hours-hint", BY_DATE ? "by day, UTC" : "by day of the week, UTC");
}

function drawCell(one, { row, hour, most, x, y, size, tall }) {
  const key = `${row} ${hour}`, shape = { x: x + 1, y: y + 1, width: Math.max(size - 2, 1), height: tall - 2, rx: 2 };
  if (!one) return svg("rect", { class: "cell empty", ...shape });
  const words = `${rowName(row)}, ${two(hour)}:00 to ${two(hour)}:59 UTC: ${tell(one.counts)}`;
  const strength = Math.ceil((Math.log(one.total + 1) / Math.log(most + 1)) * 5);
  return svg("g", { class: "acts", role: "button", "aria-label": words, "aria-pressed": String(asked.cell === key), "data-cell": key, ...press(() => { asked.cell = asked.cell === key ? null : key; ask(); }) },
    svg("rect", { class: `cell heat-${strength} ${asked.cell === key ? "chosen" : ""}`, ...shape }),
    worst(one.counts) >= 3 ? svg("circle", { class: `fill-${SEVERITIES[worst(one.counts)]} dot`, cx: x + size / 2, cy: y + tall / 2, r: Math.min(size, tall) / 5 }) : null, svg("title", {}, words));
}
