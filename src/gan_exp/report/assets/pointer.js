// Reading values from a chart and zooming in it, with a pointer or with keys.
function followPointer(chart) {
  let start = null;
  const place = (event) => {
    const box = chart.svg.getBoundingClientRect();
    const scale = chart.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  chart.svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = place(event)[0];
    if (event.pointerType === "mouse") chart.svg.setPointerCapture(event.pointerId);
    read(chart, ...place(event));
  });
  chart.svg.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    read(chart, x, y);
    if (start !== null && Math.abs(x - start) > 4) mark(chart, start, x);
  });
  chart.svg.addEventListener("pointerup", (event) => {
    const end = place(event)[0];
    if (start !== null && Math.abs(end - start) > 8) zoomTo(chart, start, end);
    start = null;
  });
  const leave = () => {
    start = null;
    unread(chart);
  };
  chart.svg.addEventListener("pointercancel", leave);
  chart.svg.addEventListener("pointerleave", leave);
  chart.svg.addEventListener("dblclick", () => setZoom(null));
}

function followKeys(chart) {
  let place = null;
  chart.svg.addEventListener("blur", () => unread(chart));
  chart.svg.addEventListener("keydown", (event) => {
    const left = MARGIN.left;
    const right = chart.width - MARGIN.right;
    const step = (right - left) / (event.shiftKey ? 10 : 60);
    const half = (right - left) / 4;
    place ??= (left + right) / 2;
    const moves = { ArrowLeft: -step, ArrowRight: step };
    if (event.key in moves) {
      place = Math.min(right, Math.max(left, place + moves[event.key]));
      read(chart, place, null);
    } else if (event.key === "+" || event.key === "=") {
      zoomTo(chart, Math.max(left, place - half), Math.min(right, place + half));
    } else if (event.key === "-") {
      zoomTo(chart, left - 2 * half, right + 2 * half);
    } else if (event.key === "0" || event.key === "Escape") {
      setZoom(null);
    } else return;
    event.preventDefault();
  });
}

function zoomTo(chart, one, other) {
  const [from, to] = [Math.min(one, other), Math.max(one, other)].map((x) => chart.x.value(x));
  const first = view.logX ? stepRange.first : 0;
  const bounds = [Math.max(from, first), Math.min(to, stepRange.last)];
  if (bounds[0] <= first && bounds[1] >= stepRange.last) setZoom(null);
  else if (bounds[1] - bounds[0] >= 1) setZoom(bounds);
}

function mark(chart, start, end) {
  const attributes = { class: "selection", x: Math.min(start, end), y: MARGIN.top, width: Math.abs(end - start), height: chart.height - MARGIN.top - MARGIN.bottom };
  chart.cursor.append(element("svg:rect", attributes));
}

// Show the values at a place; the line nearest to the pointer stands first.
function read(chart, x, y) {
  if (!chart.shown || !chart.shown.length) return;
  const step = chart.x.value(Math.min(chart.width - MARGIN.right, Math.max(MARGIN.left, x)));
  const found = [];
  for (const line of chart.shown) {
    if (line.faint && y === null) continue;
    const index = nearest(line.x, step);
    const value = line.y[index];
    if (value === null || (chart.logY && value <= 0)) continue;
    found.push({ line, index, value, px: chart.x.at(line.x[index]), py: chart.y.at(value) });
  }
  if (!found.length) return;
  const away = (one) => Math.abs(one.px - x) + (y === null ? 0 : Math.abs(one.py - y));
  const near = found.reduce((best, one) => (away(one) < away(best) ? one : best));
  found.sort((one, other) => (other === near) - (one === near) || other.value - one.value);
  const shown = found.slice(0, 8);
  const rule = element("svg:line", { class: "crosshair", x1: near.px, x2: near.px, y1: MARGIN.top, y2: chart.height - MARGIN.bottom });
  const dots = shown.map((one) => element("svg:circle", { class: "dot", style: `--line:${one.line.color}`, cx: one.px, cy: one.py, r: one === near ? 4 : 3 }));
  chart.cursor.replaceChildren(rule, ...dots);
  const rows = shown.map((one) => element("div", { class: "key", style: `--line:${one.line.color}` }, `${one.line.label} `, element("b", {}, valueText(one))));
  if (found.length > shown.length) rows.push(element("div", { class: "more" }, `and ${found.length - shown.length} more`));
  chart.readout.replaceChildren(element("div", { class: "at" }, `step ${formatStep(near.line.x[near.index])}`), ...rows);
  chart.readout.hidden = false;
  const share = near.px / chart.width;
  chart.readout.style.left = share < 0.5 ? `calc(${share * 100}% + 12px)` : "auto";
  chart.readout.style.right = share < 0.5 ? "auto" : `calc(${(1 - share) * 100}% + 12px)`;
}

function valueText({ line, index, value }) {
  const range = line.lo ? ` (${formatNumber(line.lo[index])} to ${formatNumber(line.hi[index])})` : "";
  const count = line.n ? `, n=${line.n[index]}` : "";
  return `${formatNumber(value)}${range}${count}`;
}

function unread(chart) {
  chart.readout.hidden = true;
  if (chart.cursor) chart.cursor.replaceChildren();
}
