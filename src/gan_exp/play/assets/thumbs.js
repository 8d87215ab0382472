// Small images to choose from: variations of the picture, and the images that were kept.
const VARIATIONS = 8;
const kept = []; // { start, words, button }
let firstSeed = 1e6; // of the latents towards which the variations lie

// The button has the words, since an image that has some looks broken until it arrives.
function thumb(words, choose) {
  const image = element("img", { alt: "", width: data.width, height: data.height, class: data.small ? "pixels" : null });
  return element("button", { type: "button", title: words, "aria-label": words, onclick: choose }, image);
}

function variation(index) {
  const end = { seed: firstSeed + index, label: shown.start.label, truncation: shown.start.truncation };
  return { end, at: Number(byId("distance").value) };
}

function drawVariations() {
  byId("distance-value").textContent = `${Math.round(100 * byId("distance").value)} %`;
  if (shown.end) return; // of an image between two
  all("#near button").forEach((button, k) => {
    const question = { start: shown.start, ...variation(k) };
    images.ask(`variation ${k}`, "/image", question, (response) => show(button.firstChild, response));
  });
}

function forgetVariations() {
  for (let k = 0; k < VARIATIONS; k += 1) images.forget(`variation ${k}`);
}

function setUpVariations() {
  for (let k = 0; k < VARIATIONS; k += 1) {
    const choose = () => {
      const question = { start: described(), ...variation(k) };
      resolve(question, ({ latent, label }) => change({ latent, label, truncation: null, shifts: noShifts() }));
    };
    byId("near").append(element("li", {}, thumb(`variation ${k + 1}`, choose)));
  }
  byId("distance").addEventListener("input", followLater);
  byId("others").addEventListener("click", () => {
    firstSeed += VARIATIONS;
    followLater();
  });
}

function keep(start, words) {
  const one = { start, words };
  const button = thumb(words, () => {
    const { seed = null, latent = null, label, truncation = null, shifts = [] } = start;
    change({ seed: seed ?? state.seed, latent, label, truncation, shifts: noShifts().map((_, k) => shifts[k] ?? 0) });
  });
  const drop = element("button", { type: "button", class: "drop", "aria-label": `remove ${words}` }, "Remove");
  one.button = button;
  const item = element("li", {}, button, drop);
  drop.addEventListener("click", () => {
    kept.splice(kept.indexOf(one), 1);
    item.remove();
    showTray();
    remember();
  });
  kept.push(one);
  byId("tray").append(item);
  images.ask(one, "/image", { start }, (response) => show(button.firstChild, response));
  showTray();
}

function showTray() {
  byId("none-kept").hidden = kept.length > 1;
  byId("between").hidden = kept.length < 2;
  byId("position").max = kept.length;
  if (kept.length < 2) stopPlaying();
  showPosition(Math.min(byId("position").value, kept.length));
  mark(null);
}

function mark(current) {
  kept.forEach(({ button }, k) => button.setAttribute("aria-current", String(k === current)));
}

function setUpTray() {
  byId("keep").addEventListener("click", () => {
    const words = byId("caption").textContent;
    if (!shown.end) {
      keep(shown.start, words);
      return remember();
    }
    resolve(shown, ({ latent, label }) => {
      keep({ latent, label }, words);
      remember();
    });
  });
  byId("position").addEventListener("input", () => {
    stopPlaying();
    goTo(Number(byId("position").value));
  });
  byId("play-pause").addEventListener("click", () => (playing === null ? startPlaying() : stopPlaying()));
}

// Position 1.25 is a quarter of the way from the second of the kept images to the third; behind the last is the first.
function goTo(position) {
  const { from, to, at } = showPosition(position);
  mark(at < 0.5 ? from : to);
  draw({ start: kept[from].start, end: kept[to].start, at }, `${Math.round(100 * at)} % from kept ${from + 1} to ${to + 1}`);
}

function showPosition(position) {
  const from = Math.floor(position) % Math.max(kept.length, 1);
  const to = (from + 1) % Math.max(kept.length, 1);
  const at = position % 1;
  byId("position").value = position;
  byId("position-value").textContent = `${from + 1} to ${to + 1}`;
  byId("position").setAttribute("aria-valuetext", `${Math.round(100 * at)} % of the way from ${from + 1} to ${to + 1}`);
  return { from, to, at };
}

const SECONDS = 2; // from one kept image to the next
let playing = null;

function startPlaying() {
  let position = Number(byId("position").value);
  let before = performance.now();
  byId("play-pause").textContent = "Pause";
  const step = (now) => {
    position = (position + (now - before) / 1000 / SECONDS) % kept.length;
    before = now;
    goTo(position);
    playing = requestAnimationFrame(step);
  };
  playing = requestAnimationFrame(step);
}

function stopPlaying() {
  if (playing !== null) cancelAnimationFrame(playing);
  playing = null;
  byId("play-pause").textContent = "Play";
  mark(null);
}
