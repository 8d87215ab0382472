// A parameter against a metric: a dot for each run (hollow if it did not finish), a line for the mean of each group.
const PLOT = { width: 1040, height: 380, left: 64, right: 24, top: 14, bottom: 52 };

function setUpScatter() {
  for (const id of ["parameter", "metric"]) byId(id)?.addEventListener("change", drawScatter);
  drawScatter();
}

function drawScatter() {
  const place = byId("scatter");
  if (!place) return;
  const [key, metric] = [byId("parameter").value, byId("metric").value];
  const width = Math.max(320, Math.min(PLOT.width, place.clientWidth || PLOT.width));
  const runs = [...visibleRuns].sort((one, other) => one - other).filter((run) => typeof data.runs[run].values[metric] === "number");
  const values = runs.map((run) => data.runs[run].values[metric]);
  const logarithmic = byId("scatter-log").checked && values.some((value) => value > 0);
  const y = makeScale(extent(values, logarithmic) || [0, 1], [PLOT.height - PLOT.bottom, PLOT.top], logarithmic);
  const x = parameterScale(key, runs, width);
  const svg = element("svg:svg", { viewBox: `0 0 ${width} ${PLOT.height}`, class: "plot", role: "img", "aria-label": `${metric} of ${runs.length} runs over ${key}; the table of runs has the same numbers` });
  const right = width - PLOT.right;
  const bottom = PLOT.height - PLOT.bottom;
  for (const value of y.ticks(5)) {
    const at = y.at(value).toFixed(1);
    svg.append(element("svg:line", { class: "rule", x1: PLOT.left, x2: right, y1: at, y2: at }));
    svg.append(element("svg:text", { class: "tick", x: PLOT.left - 8, y: at, dy: "0.32em", "text-anchor": "end" }, formatNumber(value)));
  }
  for (const [value, at] of x.ticks) svg.append(element("svg:text", { class: "tick", x: at, y: bottom + 20, "text-anchor": "middle" }, value));
  svg.append(element("svg:line", { class: "axis", x1: PLOT.left, x2: right, y1: bottom, y2: bottom }));
  svg.append(element("svg:text", { class: "name", x: (PLOT.left + right) / 2, y: PLOT.height - 6, "text-anchor": "middle" }, key));
  data.groups.forEach((group, number) => {
    const inside = group.runs.filter((run) => runs.includes(run) && (!logarithmic || data.runs[run].values[metric] > 0));
    if (inside.length) drawGroup(svg, group, lookOf(number).color, inside, metric, (run, index) => x.at(run) + spread(index, inside.length, x.room, number), y);
  });
  place.replaceChildren(svg);
  byId("scatter-note").textContent = noteOn(metric, runs);
}

function noteOn(metric, runs) {
  const lacking = visibleRuns.size - runs.length;
  const open = runs.some((run) => data.runs[run].values.state !== "finished");
  const parts = ["A dot is a run, a line the mean of a group's finished runs."];
  if (open) parts.push("Hollow dots did not finish.");
  if (lacking) parts.push(`${lacking} of ${visibleRuns.size} runs have no ${metric}.`);
  return parts.join(" ");
}

// Groups with the same value stand side by side, so that none hides another.
function spread(index, count, room, group) {
  const lane = ((group * 0.618) % 1) - 0.5;
  return lane * room * 0.55 + (count > 1 ? (index / (count - 1) - 0.5) * room * 0.12 : 0);
}

function drawGroup(svg, group, color, runs, metric, at, y) {
  const style = `--line:${color}`;
  const places = runs.map(at);
  const middle = places.reduce((sum, place) => sum + place, 0) / places.length;
  const finished = runs.filter((run) => data.runs[run].values.state === "finished");
  const mean = finished.reduce((sum, run) => sum + data.runs[run].values[metric], 0) / finished.length;
  if (finished.length > 1) svg.append(element("svg:line", { class: "mean", style, x1: middle - 14, x2: middle + 14, y1: y.at(mean), y2: y.at(mean) }));
  runs.forEach((run, index) => {
    const value = data.runs[run].values[metric];
    const { name, values } = data.runs[run];
    const title = element("svg:title", {}, `${name}: ${formatNumber(value)}${values.state === "finished" ? "" : `, ${values.state} at step ${formatStep(values.step)}`}`);
    svg.append(element("svg:circle", { class: finished.includes(run) ? "point" : "point open", style, cx: places[index], cy: y.at(value), r: 4.5 }, title));
  });
}

// Numbers on a line (a logarithmic one if they are far apart), few of them and words at equal distances.
function parameterScale(key, runs, width) {
  const found = [...new Set(data.runs.map((run) => run.values[key] ?? null))];
  const numbers = found.filter((value) => typeof value === "number").sort((one, other) => one - other);
  const [left, right] = [PLOT.left + 30, width - PLOT.right - 30];
  if (numbers.length === found.length && numbers.length > 8) {
    const logarithmic = numbers[0] > 0 && numbers[numbers.length - 1] / numbers[0] > 30;
    const scale = makeScale([numbers[0], numbers[numbers.length - 1]], [left, right], logarithmic);
    const ticks = scale.ticks(6).map((value) => [formatNumber(value), scale.at(value)]);
    return { at: (run) => scale.at(data.runs[run].values[key]), ticks, room: 0 };
  }
  const words = found.filter((value) => typeof value !== "number").map(String).sort();
  const order = [...numbers, ...words];
  const room = (right - left) / Math.max(1, order.length);
  const place = (index) => left + room * (index + 0.5);
  const indexOf = (value) => order.indexOf(typeof value === "number" ? value : String(value ?? null));
  const ticks = order.map((value, index) => [typeof value === "number" ? formatNumber(value) : value, place(index)]);
  return { at: (run) => place(indexOf(data.runs[run].values[key])), ticks, room };
}
