// Elements, numbers and the page's data.
const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children; text is always set as text, never parsed as HTML.
function element(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function readJson(id) {
  const found = byId(id);
  return found ? JSON.parse(found.textContent) : null;
}

function formatNumber(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return String(Number(value.toPrecision(4)));
}

const formatStep = (step) => Math.round(step).toLocaleString("en-US");

// The start and end of a sorted array's part within [from, to], with a neighbour on each side.
function slice(sorted, from, to) {
  let start = lowerBound(sorted, from);
  let end = lowerBound(sorted, to);
  while (end < sorted.length && sorted[end] <= to) end += 1;
  start = Math.max(0, start - 1);
  return [start, Math.min(sorted.length, end + 1)];
}

function lowerBound(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function nearest(sorted, value) {
  const behind = Math.min(lowerBound(sorted, value), sorted.length - 1);
  const before = Math.max(0, behind - 1);
  return value - sorted[before] < sorted[behind] - value ? before : behind;
}
