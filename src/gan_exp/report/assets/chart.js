// One chart of lines over steps, as SVG. All charts share `view`: the zoom, the smoothing and the kinds of axes.
const view = { smoothing: 0, logX: false, logY: false, zoom: null };
const charts = new Set();
const stepRange = { first: 1, last: 1 }; // the first step above 0 and the last one, of all curves
const MARGIN = { left: 54, right: 12, top: 10, bottom: 26 };
const DOTTED = 40; // with fewer points each is shown as a dot too

function redrawAll() {
  for (const chart of charts) chart.stale = true;
  requestAnimationFrame(() => {
    for (const chart of charts) if (chart.visible) chart.drawIfStale();
  });
  all("[data-zoom-reset]").forEach((button) => (button.hidden = view.zoom === null));
}

function setZoom(domain) {
  view.zoom = domain;
  redrawAll();
}

// The exponential moving average whose first values are not drawn towards zero, as in TensorBoard.
function smooth(values, weight) {
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * weight + value * (1 - weight);
    total = total * weight + (1 - weight);
    return sum / total;
  });
}

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.chart.visible = isIntersecting;
      if (isIntersecting) target.chart.drawIfStale();
    }
  },
  { rootMargin: "400px" },
);
const resizing = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.clientWidth !== target.chart.width) target.chart.stale = true;
    if (target.chart.visible) target.chart.drawIfStale();
  }
});

class Chart {
  // `lines` returns what is shown now: [{ label, color, dash, x, y, lo, hi, faint }].
  constructor(title, note, lines) {
    this.title = title;
    this.lines = lines;
    this.stale = true;
    this.visible = false;
    this.legend = element("span", { class: "legend" });
    this.svg = element("svg:svg", { tabindex: 0, role: "img", class: "plot" });
    this.readout = element("div", { class: "readout", hidden: true });
    this.body = element("div", { class: "plot-body" }, this.svg, this.readout);
    const caption = element("figcaption", {}, element("b", {}, title), this.legend);
    if (note) caption.append(element("small", {}, note));
    caption.append(element("button", { type: "button", class: "size", "aria-pressed": "false", onclick: (event) => this.resize(event.target) }, "Enlarge"));
    this.figure = element("figure", { class: "chart" }, caption, this.body);
    this.body.chart = this;
    charts.add(this);
    observer.observe(this.body);
    resizing.observe(this.body);
    followPointer(this);
    followKeys(this);
  }

  resize(button) {
    const large = this.figure.classList.toggle("large");
    button.textContent = large ? "Reduce" : "Enlarge";
    button.setAttribute("aria-pressed", String(large));
    this.stale = true;
    this.drawIfStale();
  }

  drawIfStale() {
    if (!this.stale || !this.body.isConnected) return;
    this.stale = false;
    this.draw();
  }

  draw() {
    this.width = this.body.clientWidth || 520;
    this.height = this.figure.classList.contains("large") ? 420 : 210;
    this.shown = this.lines().filter((line) => line.x.length);
    this.logY = view.logY && this.shown.some((line) => line.y.some((value) => value > 0));
    this.x = makeScale(this.domainX(), [MARGIN.left, this.width - MARGIN.right], view.logX);
    const parts = this.shown.map((line) => this.part(line));
    const values = parts.flatMap((part) => [...part.y, ...(part.lo || []), ...(part.hi || []), ...(part.raw || [])]);
    const domain = extent(values, this.logY) || [0, 1];
    this.y = makeScale(domain, [this.height - MARGIN.bottom, MARGIN.top], this.logY);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("aria-label", this.description());
    this.svg.replaceChildren(...this.axes(), ...parts.flatMap((part) => this.marks(part)));
    this.cursor = this.svg.appendChild(element("svg:g", { class: "cursor" }));
    this.drawLegend();
  }

  domainX() {
    if (view.zoom) return view.logX ? view.zoom.map((step) => Math.max(1, step)) : view.zoom;
    return [view.logX ? stepRange.first : 0, stepRange.last];
  }

  // What of a line lies within the zoom, smoothed as asked.
  part(line) {
    const [from, to] = this.x.domain;
    const [start, end] = slice(line.x, from, to);
    const cut = (values) => values && values.slice(start, end);
    const soft = (values) => values && (view.smoothing ? smooth(values, view.smoothing) : values);
    const smoothed = view.smoothing > 0 && line.x.length > 2;
    const raw = smoothed && !line.lo && !line.faint ? cut(line.y) : null;
    return { line, x: cut(line.x), y: cut(soft(line.y)), lo: cut(line.group ? soft(line.lo) : line.lo), hi: cut(line.group ? soft(line.hi) : line.hi), raw };
  }

  path(x, y) {
    let text = "";
    let pen = "M";
    for (let index = 0; index < x.length; index += 1) {
      const value = y[index];
      if (value === null || (this.logY && value <= 0) || (view.logX && x[index] <= 0)) {
        pen = "M";
        continue;
      }
      text += `${pen}${this.x.at(x[index]).toFixed(1)} ${this.y.at(value).toFixed(1)}`;
      pen = "L";
    }
    return text;
  }

  marks({ line, x, y, lo, hi, raw }) {
    const style = `--line:${line.color}`;
    const marks = [];
    if (lo && x.length) {
      const least = this.logY ? this.y.domain[0] : -Infinity;
      const low = lo.map((value) => Math.max(value, least));
      const edge = this.path([...x], hi) + this.path([...x].reverse(), low.reverse()).replace(/^M/, "L");
      marks.push(element("svg:path", { class: "band", style, d: `${edge}Z` }));
    }
    if (raw) marks.push(element("svg:path", { class: "line raw", style, d: this.path(x, raw) }));
    const look = line.faint ? "line faint" : "line";
    marks.push(element("svg:path", { class: look, style, "stroke-dasharray": line.dash || null, d: this.path(x, y) }));
    if (line.x.length <= DOTTED) {
      for (let index = 0; index < x.length; index += 1) {
        const dot = this.path([x[index]], [y[index]]).slice(1).split(" ");
        if (dot.length === 2) marks.push(element("svg:circle", { class: "dot", style, cx: dot[0], cy: dot[1], r: line.faint ? 1.5 : 2.4 }));
      }
    }
    return marks.map((mark) => clipped(mark, this));
  }

  axes() {
    const right = this.width - MARGIN.right;
    const bottom = this.height - MARGIN.bottom;
    const clip = element("svg:clipPath", { id: this.clip() }, element("svg:rect", { x: MARGIN.left, y: 0, width: right - MARGIN.left + 3, height: bottom + 3 }));
    const found = [element("svg:defs", {}, clip)];
    for (const value of this.y.ticks(4)) {
      const y = this.y.at(value).toFixed(1);
      found.push(element("svg:line", { class: "rule", x1: MARGIN.left, x2: right, y1: y, y2: y }));
      found.push(element("svg:text", { class: "tick", x: MARGIN.left - 8, y, dy: "0.32em", "text-anchor": "end" }, formatNumber(value)));
    }
    const ticks = this.x.ticks(Math.max(2, Math.floor(this.width / 110))).filter(Number.isInteger);
    for (const value of ticks.filter((one) => one >= this.x.domain[0] && one <= this.x.domain[1])) {
      const x = this.x.at(value);
      const anchor = x > right - 20 ? "end" : "middle";
      found.push(element("svg:text", { class: "tick", x: x.toFixed(1), y: bottom + 18, "text-anchor": anchor }, formatStep(value)));
    }
    found.push(element("svg:line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }));
    return found;
  }

  clip() {
    this.clipName ||= `clip-${(Chart.count = (Chart.count || 0) + 1)}`;
    return this.clipName;
  }

  drawLegend() {
    if (this.shown.length < 2 || this.shown.some((line) => line.unnamed)) return this.legend.replaceChildren();
    return this.legend.replaceChildren(
      ...this.shown.map((line) => element("span", { class: "key", style: `--line:${line.color}` }, line.label)),
    );
  }

  description() {
    const named = this.shown.filter((line) => !line.faint);
    const ends = named.slice(0, 8).map((line) => `${line.label} ends at ${formatNumber(line.y[line.y.length - 1])}`);
    const [from, to] = this.x.domain;
    return `${this.title} over steps ${formatStep(from)} to ${formatStep(to)}: ${ends.join(", ")}. Arrow keys read values, plus and minus zoom, 0 shows all.`;
  }
}

function clipped(mark, chart) {
  mark.setAttribute("clip-path", `url(#${chart.clip()})`);
  return mark;
}
