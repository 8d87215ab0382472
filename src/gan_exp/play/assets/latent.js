// The latent that the controls describe, and the question whose answer is shown.
const state = { seed: 0, latent: null, label: null, truncation: null, shifts: [] };
let shown = null; // a question: { start } or { start, end, at }
let picture = null; // the file of its image

const FULL = 3; // the truncation slider's last value, which stands for none

function described() {
  const { seed, latent, label, truncation, shifts } = state;
  const last = shifts.findLastIndex((shift) => shift !== 0);
  return { ...(latent ? { latent } : { seed }), label, truncation, shifts: shifts.slice(0, last + 1) };
}

// Asks for the image of the controls, or of `question`, and for what belongs to it once that is seen.
function draw(question = { start: described() }, words = caption()) {
  shown = question;
  images.ask("picture", "/image", question, async (response) => {
    picture = await show(byId("picture"), response);
    byId("picture").alt = `generated image: ${words}`;
    byId("caption").textContent = words;
  });
  followLater();
}

function caption() {
  const moved = state.shifts.flatMap((shift, k) => (shift === 0 ? [] : [`${k + 1}: ${signed(shift)}`]));
  return [
    state.latent ? "a latent of its own" : `seed ${state.seed}`,
    ...(state.label === null ? [] : [`class ${data.classes[state.label]}`]),
    ...(state.truncation === null ? [] : [`truncation ${state.truncation}`]),
    ...(moved.length ? [`direction ${moved.join(", ")}`] : []),
  ].join(" · ");
}

const signed = (value) => (value > 0 ? "+" : "") + Number(value.toFixed(1));

// Variations and the nearest image follow when the controls rest: they take time.
let rest = null;
function followLater() {
  clearTimeout(rest);
  forgetVariations();
  neighbours.forget("nearest");
  rest = setTimeout(() => {
    drawVariations();
    askNearest();
    remember();
  }, 200);
}

// The numbers of the latent that is shown: a description that needs no other.
function resolve(question, use) {
  images.ask("latent", "/latent", question, async (response) => use(await response.json()));
}

// What the browser keeps of this run for a reload, while the tab is open.
const PLACE = `gan-exp play ${data.run} ${data.step}`;

function remember() {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify({ state, kept: kept.map(({ start, words }) => ({ start, words })) }));
  } catch {
    // Storage may be full or forbidden; the page works without.
  }
}

function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE));
  } catch {
    return null;
  }
}
