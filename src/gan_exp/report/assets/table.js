// Sorting by a column's header, and the filter, which governs the runs that tables, charts and grids show.
const visibleRuns = new Set();

function setUpTables() {
  for (const table of all("table.sortable")) {
    all("thead th", table).forEach((header, column) => {
      const button = header.querySelector("button");
      if (button) button.addEventListener("click", () => sortBy(table, header, column));
    });
  }
}

function sortBy(table, header, column) {
  const first = header.dataset.first || "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = header.getAttribute("aria-sort") === first ? other : first;
  all("th[aria-sort]", table).forEach((one) => one.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", order);
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [cellValue(row.cells[column]), row]);
  rows.sort(([one], [two]) => compare(one, two, order === "ascending" ? 1 : -1));
  body.append(...rows.map(([, row]) => row));
}

function cellValue(cell) {
  const text = cell.dataset.v ?? cell.textContent.trim();
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

// Numbers before words, and empty cells always last.
function compare(one, two, sign) {
  if (one === "" || two === "") return (one === "") - (two === "");
  const numbers = (typeof one === "number") - (typeof two === "number");
  if (numbers) return -numbers;
  return typeof one === "number" ? sign * (one - two) : sign * one.localeCompare(two, "en", { numeric: true });
}

const CONDITION = /^([^\s<>=!]+)(<=|>=|!=|=|<|>)(.*)$/;

// `model=dcgan state=failed,stale fid_cnn<5 seed`: conditions as of `gan-exp runs`, and words; all must hold.
function parseFilter(text) {
  return text.split(/\s+/).filter(Boolean).map((word) => {
    const found = word.match(CONDITION);
    return found ? { key: found[1], sign: found[2], wanted: found[3] } : { word: word.toLowerCase() };
  });
}

// `fid` is fid_cnn, and `generator` is loss/generator, if that is the only one.
function keyOf(key, run) {
  if (key in run.values) return key;
  const names = Object.keys(run.values);
  const found = names.filter((name) => name.endsWith(`/${key}`) || (name.startsWith(`${key}_`) && !name.includes("/")));
  return found.length === 1 ? found[0] : null;
}

function holds({ word, key, sign, wanted }, run) {
  if (word !== undefined) return run.text.includes(word);
  const name = keyOf(key, run);
  const value = name === null ? null : run.values[name];
  if (sign === "=" || sign === "!=") {
    const same = value !== null && wanted.split(/,(?![^[]*\])/).some((one) => equals(value, one));
    return same === (sign === "=");
  }
  if (typeof value !== "number" || wanted === "" || Number.isNaN(Number(wanted))) return false;
  return { "<": value < Number(wanted), "<=": value <= Number(wanted), ">": value > Number(wanted), ">=": value >= Number(wanted) }[sign];
}

function equals(value, wanted) {
  if (typeof value === "number") return wanted !== "" && value === Number(wanted);
  const pattern = wanted.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${pattern.join(".*")}$`).test(String(value));
}

function setUpFilter() {
  for (const [number, run] of data.runs.entries()) {
    visibleRuns.add(number);
    run.text = [run.name, ...Object.entries(run.values).map(([key, value]) => `${key}=${value}`)].join(" ").toLowerCase();
  }
  const field = byId("filter");
  if (!field) return;
  field.addEventListener("input", () => applyFilter(field.value));
  all("[data-filter]").forEach((button) =>
    button.addEventListener("click", () => {
      field.value = button.dataset.filter;
      applyFilter(field.value);
    }),
  );
}

function applyFilter(text) {
  const conditions = parseFilter(text);
  data.runs.forEach((run, number) => {
    if (conditions.every((condition) => holds(condition, run))) visibleRuns.add(number);
    else visibleRuns.delete(number);
  });
  all("[data-run]").forEach((one) => (one.hidden = !visibleRuns.has(Number(one.dataset.run))));
  const unknown = conditions.filter(({ key }) => key && !data.runs.some((run) => keyOf(key, run) !== null));
  const count = `${visibleRuns.size} of ${data.runs.length} runs`;
  byId("filter-count").textContent = unknown.length ? `${count}; no run has ${unknown.map(({ key }) => key).join(", ")}` : count;
  redrawEverything();
}
