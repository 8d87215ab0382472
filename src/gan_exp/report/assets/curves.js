// Which lines each chart shows: the tags of one run, or of many runs their groups or each run.
const COLOURS = 8;
const DASHES = [null, "6 3", "2 3"];
const ROLES = { generator: 0, discriminator: 1, real: 2, fake: 3 };
const choice = { each: false, colour: "group", hidden: new Set() };

const colour = (number) => `var(--c${number % COLOURS})`;
const dash = (number) => DASHES[Math.floor(number / COLOURS) % DASHES.length];

function curveOf(run, tag) {
  const found = data.series[run][tag];
  return found && { x: data.steps[found.s], y: found.y, lo: found.lo, hi: found.hi };
}

function linesOfRun(chart) {
  return chart.lines.flatMap(({ tag, label }, index) => {
    const curve = curveOf(0, tag);
    const number = ROLES[label] ?? index + (chart.lines.length > 1 ? 4 : 0);
    return curve ? [{ label, color: colour(number), ...curve }] : [];
  });
}

function linesOfMany(chart) {
  const tag = chart.lines[0].tag;
  return data.groups.flatMap((group, number) => {
    const runs = group.runs.filter((run) => visibleRuns.has(run));
    if (!runs.length || choice.hidden.has(number)) return [];
    const curves = runs.map((run) => [run, curveOf(run, tag)]).filter(([, curve]) => curve);
    if (!curves.length) return [];
    const look = lookOf(number);
    if (choice.each) return curves.map(([run, curve]) => ({ label: data.runs[run].name, unnamed: true, ...look, ...curve }));
    return [{ label: group.name, unnamed: true, group: true, ...look, ...mean(tag, curves) }];
  });
}

function lookOf(group) {
  if (choice.colour === "group") return { color: colour(group), dash: dash(group) };
  const number = valuesOf(choice.colour).indexOf(groupValue(group, choice.colour));
  return { color: colour(number), dash: dash(number) };
}

const groupValue = (group, key) => data.runs[data.groups[group].runs[0]].values[key] ?? null;

// The values of a parameter in order, numbers by size.
function valuesOf(key) {
  const found = [...new Set(data.groups.map((_, group) => groupValue(group, key)))];
  return found.sort((one, other) => (typeof one === "number" && typeof other === "number" ? one - other : String(one) < String(other) ? -1 : 1));
}

// The mean over a group's runs with their lowest and highest value, at every step that one of them has.
const means = new Map();
function mean(tag, curves) {
  const key = `${tag} ${curves.map(([run]) => run)}`;
  if (!means.has(key)) means.set(key, average(curves.map(([, curve]) => curve)));
  return means.get(key);
}

function average(curves) {
  if (curves.length === 1) return { x: curves[0].x, y: curves[0].y };
  const alike = curves.every((curve) => curve.x === curves[0].x);
  const x = alike ? curves[0].x : [...new Set(curves.flatMap((curve) => curve.x))].sort((one, other) => one - other);
  const made = { x, y: [], lo: [], hi: [], n: [] };
  x.forEach((step, index) => {
    const values = alike ? curves.map((curve) => curve.y[index]) : curves.map((curve) => between(curve, step));
    const found = values.filter((value) => value !== null);
    made.n.push(found.length);
    made.y.push(found.reduce((sum, value) => sum + value, 0) / found.length);
    made.lo.push(Math.min(...found));
    made.hi.push(Math.max(...found));
  });
  return made;
}

// The value of a curve at a step, between two points by a straight line; null before its first and behind its last.
function between({ x, y }, step) {
  const behind = lowerBound(x, step);
  if (behind === x.length || (behind === 0 && x[0] !== step)) return null;
  if (x[behind] === step) return y[behind];
  const share = (step - x[behind - 1]) / (x[behind] - x[behind - 1]);
  return y[behind - 1] + share * (y[behind] - y[behind - 1]);
}

function setUpCurves() {
  const place = byId("charts");
  if (!place) return;
  stepRange.last = Math.max(1, ...data.steps.map((steps) => steps[steps.length - 1]));
  stepRange.first = Math.min(stepRange.last, ...data.steps.map((steps) => steps.find((step) => step > 0) ?? Infinity));
  const lines = data.many ? linesOfMany : linesOfRun;
  for (const section of data.sections) {
    const grid = element("div", { class: "charts" });
    for (const chart of section.charts) grid.append(new Chart(chart.title, chart.note, () => lines(chart)).figure);
    const summary = element("summary", {}, section.title, element("small", {}, ` ${section.charts.length === 1 ? "1 chart" : `${section.charts.length} charts`}`));
    place.append(element("details", { open: section.open, class: "chart-section" }, summary, grid));
  }
  setUpControls();
  choice.hidden = new Set(behindTheFirst());
  if (data.many) setUpLegend();
}

function setUpControls() {
  const smoothing = byId("smoothing");
  smoothing.addEventListener("input", () => {
    view.smoothing = Number(smoothing.value);
    byId("smoothing-value").textContent = view.smoothing ? view.smoothing.toFixed(2) : "off";
    redrawAll();
  });
  for (const [id, key] of [["log-y", "logY"], ["log-x", "logX"]]) {
    byId(id).addEventListener("change", (event) => {
      view[key] = event.target.checked;
      redrawAll();
    });
  }
  all("[data-zoom-reset]").forEach((button) => button.addEventListener("click", () => setZoom(null)));
  byId("each")?.addEventListener("change", (event) => {
    choice.each = event.target.checked;
    redrawAll();
  });
  byId("colour")?.addEventListener("change", (event) => {
    choice.colour = event.target.value;
    setUpLegend();
    redrawEverything();
  });
}

const behindTheFirst = () => data.groups.map((_, number) => number).slice(COLOURS);

function showGroups(hidden) {
  choice.hidden = new Set(hidden);
  setUpLegend();
  redrawAll();
}

// A button for each group, which hides and shows its lines.
function setUpLegend() {
  const buttons = data.groups.map((group, number) => {
    const { color } = lookOf(number);
    const pressed = !choice.hidden.has(number);
    const toggle = () => {
      if (!choice.hidden.delete(number)) choice.hidden.add(number);
      button.setAttribute("aria-pressed", String(!choice.hidden.has(number)));
      redrawAll();
    };
    const button = element("button", { type: "button", class: "key", style: `--line:${color}`, "aria-pressed": String(pressed), onclick: toggle }, group.name);
    return button;
  });
  byId("legend").replaceChildren(...buttons);
  for (const [id, hidden] of [["all-groups", []], ["few-groups", behindTheFirst()]]) {
    const button = byId(id);
    if (button) button.onclick = () => showGroups(hidden);
  }
  all("[data-group]").forEach((mark) => mark.style.setProperty("--line", lookOf(Number(mark.dataset.group)).color));
}
