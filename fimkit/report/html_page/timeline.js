// The timeline: bars stacked by severity, the times that nobody saw hatched; what is in view is what the table shows.
const STEPS = [1, 2, 5, 15, 30].map((n) => n * SECOND).concat([1, 2, 5, 15, 30].map((n) => n * MINUTE), [1, 3, 6, 12].map((n) => n * HOUR),
  [1, 2, 7, 14, 30, 90, 365, 1825].map((n) => n * DAY));
const SHORTEST = SECOND;
const WHOLE = wholeRange();
let view = WHOLE.slice();

function wholeRange() {
  const found = extent([...(F.time ?? []), ...D.blind.flatMap((one) => [one.from, one.to])]);
  const [low, high] = found ?? [D.since ?? D.made - DAY, D.made];
  const room = high - low ? Math.max((high - low) * 0.03, SECOND) : 30 * SECOND;
  return [low - room, high + room];
}

// The shortest step that gives no more than so many; a broken log's time can be ages away.
const stepFor = (wide, most) => STEPS.find((one) => wide / one <= most) ?? Math.ceil(wide / most / DAY) * DAY;

function zoomTo(from, to) {
  const wide = Math.min(Math.max(to - from, SHORTEST), WHOLE[1] - WHOLE[0]);
  const middle = Math.min(Math.max((from + to) / 2, WHOLE[0] + wide / 2), WHOLE[1] - wide / 2);
  view = [middle - wide / 2, middle + wide / 2];
  const all = wide >= (WHOLE[1] - WHOLE[0]) * 0.999;
  if (all) view = WHOLE.slice();
  asked.range = all ? null : view;
  ask();
}

function zoomBy(how) {
  const wide = view[1] - view[0], middle = (view[0] + view[1]) / 2, last = WHOLE[1];
  const moves = {
    day: [last - DAY, last], week: [last - 7 * DAY, last], all: WHOLE, in: [middle - wide / 4, middle + wide / 4], out: [middle - wide, middle + wide],
    left: [view[0] - wide / 2, view[1] - wide / 2], right: [view[0] + wide / 2, view[1] + wide / 2],
  };
  zoomTo(...moves[how]);
}

function stepName(step) {
  for (const [size, word] of [[DAY, "day"], [HOUR, "hour"], [MINUTE, "minute"], [SECOND, "second"]]) if (step >= size) return step === size ? `one ${word}` : many(step / size, word);
  return "less than a second";
}

function tickLabel(ms, step) {
  const date = new Date(ms);
  if (step >= DAY || ms % DAY === 0) return `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}` + (step < MINUTE ? `:${two(date.getUTCSeconds())}` : "");
}

function countBins(found, from, step, bins) {
  const counts = Array.from({ length: bins }, () => new Array(SEVERITIES.length).fill(0));
  for (const i of found) {
    const bin = Math.floor((F.time[i] - from) / step);
    if (bin >= 0 && bin < bins) counts[bin][F.severity[i]]++;
  }
  return counts;
}

function niceTop(most) {
  const size = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5, 10].map((n) => n * size).find((n) => n >= most) ?? most;
}

function drawTimeline() {
  const box = $("timeline"), width = widthOf(box), height = 190, left = 34, bottom = 24, top = 8;
  const inner = width - left - 8, tall = height - bottom - top, [from, to] = view;
  const x = (ms) => left + ((ms - from) / (to - from)) * inner;
  const step = stepFor(to - from, inner / 7);
  const start = Math.floor(from / step) * step, bins = Math.ceil((to - start) / step);
  const found = meant(BITS.range), counts = countBins(found, start, step, bins);
  const peak = niceTop(Math.max(1, extent(counts.map(sum))?.[1] ?? 1));
  const y = (count) => top + tall - (count / peak) * tall;
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "group",
    "aria-label": `Timeline from ${utc(from)} to ${utc(to)} UTC. Plus and minus zoom, the arrows move, 0 shows all.` });
  picture.append(svg("defs", {}, svg("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 7, height: 7, class: "hatch-back" }), svg("rect", { width: 2.5, height: 7, class: "hatch-line" }))),
    svg("clipPath", { id: "inside" }, svg("rect", { x: left, y: 0, width: inner, height })));
  for (const count of peak === 1 ? [0, 1] : [0, peak / 2, peak]) {
    if (Number.isInteger(count)) picture.append(svg("line", { class: "rule", x1: left, x2: left + inner, y1: y(count), y2: y(count) }), svg("text", { class: "tick", x: left - 6, y: y(count) + 4, "text-anchor": "end" }, compact(count)));
  }
  picture.append(...drawTicks(x, from, to, inner, height), drawBlind(x, from, to, top, tall), drawBars(counts, start, step, x, y));
  picture.append(svg("rect", { class: "brush", id: "brush", y: top, height: tall, width: 0 }));
  listen(picture, (place) => from + ((place - left) / inner) * (to - from), x);
  const focused = box.contains(document.activeElement);
  box.replaceChildren(picture);
  if (focused) picture.focus();
  const inView = found.filter((i) => F.time[i] >= from && F.time[i] <= to).length;
  show("when-hint", N ? `${many(inView, "finding")}, ${span([from, to])}; a bar is ${stepName(step)}${sheet === null ? "; drag to zoom" : ""}` : "no findings");
}

const compact = (count) => (count >= 1000 ? `${+(count / 1000).toFixed(1)}k` : String(count));

function drawTicks(x, from, to, inner, height) {
  const step = stepFor(to - from, inner / 84);
  const made = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    made.push(svg("line", { class: "rule faint", x1: x(at), x2: x(at), y1: 8, y2: height - 24 }), svg("text", { class: "tick", x: Math.min(Math.max(x(at), 66), x(to) - 32), y: height - 8, "text-anchor": "middle" }, tickLabel(at, step)));
  }
  return made;
}

function drawBlind(x, from, to, top, tall) {
  const group = svg("g", { "clip-path": "url(#inside)" });
  for (const one of D.blind) {
    if (one.to < from || one.from > to) continue;
    const wide = Math.max(x(one.to) - x(one.from), 4);
    group.append(svg("rect", { class: "blind", x: x(one.from) - (wide === 4 ? 2 : 0), y: top, width: wide, height: tall, fill: "url(#hatch)" },
      svg("title", {}, `Not seen: ${utc(one.from)} to ${utc(one.to)} UTC. ${one.why}`)));
  }
  return group;
}

function drawBars(counts, start, step, x, y) {
  const group = svg("g", { "clip-path": "url(#inside)" });
  counts.forEach((bin, number) => {
    if (!sum(bin)) return;
    const at = start + number * step, wide = Math.max(x(at + step) - x(at) - 1, 2);
    const bar = svg("g", { class: "bar-of-time" });
    let done = 0;
    bin.forEach((count, severity) => {
      if (!count) return;
      bar.append(svg("rect", { class: `fill-${SEVERITIES[severity]}`, x: x(at), width: wide, y: y(done + count), height: Math.max(y(done) - y(done + count), 1) }));
      done += count;
    });
    const words = bin.map((count, severity) => (count ? `${count} ${SEVERITIES[severity]}` : "")).filter(Boolean).reverse().join(", ");
    bar.append(svg("title", {}, `${utc(at)} UTC, ${stepName(step)}: ${words}`));
    group.append(bar);
  });
  return group;
}

function listen(picture, timeAt, x) {
  let began = null;
  const place = (event) => event.clientX - picture.getBoundingClientRect().left;
  const brush = (to) => {
    const node = picture.querySelector("#brush");
    node.setAttribute("x", Math.min(began, to));
    node.setAttribute("width", Math.abs(to - began));
  };
  picture.addEventListener("pointerdown", (event) => { if (event.button === 0) { began = place(event); picture.setPointerCapture(event.pointerId); } });
  picture.addEventListener("pointermove", (event) => { if (began !== null) brush(place(event)); });
  picture.addEventListener("pointercancel", () => { began = null; });
  picture.addEventListener("pointerup", (event) => {
    if (began === null) return;
    const [a, b] = [began, place(event)].sort((one, other) => one - other);
    began = null;
    if (b - a > 5) zoomTo(timeAt(a), timeAt(b));
  });
  picture.addEventListener("dblclick", () => zoomBy("all"));
  picture.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // the page scrolls by the wheel alone
    event.preventDefault();
    const here = timeAt(place(event)), factor = event.deltaY > 0 ? 1.5 : 1 / 1.5;
    zoomTo(here - (here - view[0]) * factor, here + (view[1] - here) * factor);
  }, { passive: false });
  const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", 0: "all" };
  picture.addEventListener("keydown", (event) => { if (keys[event.key]) { event.preventDefault(); zoomBy(keys[event.key]); } });
}

function drawLegend() {
  const items = [...SEVERITIES].reverse().map((name) => el("span", {}, el("i", { class: `swatch back-${name}` }), name));
  if (D.blind.length) items.push(el("span", {}, el("i", { class: "swatch hatched" }), "not seen"));
  show("legend", items);
}
