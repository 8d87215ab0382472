// Seed, class, truncation and directions.
const LARGEST_FILE = 500_000; // bytes
const sliders = all("[data-direction]");

// Sets all controls to the state, without a question.
function showState() {
  byId("seed").value = state.latent ? "" : state.seed;
  if (byId("label")) byId("label").value = state.label;
  byId("truncation").value = state.truncation ?? FULL;
  byId("truncation-value").textContent = state.truncation === null ? "off" : `±${state.truncation}`;
  sliders.forEach((slider, k) => {
    slider.value = state.shifts[k];
    slider.nextElementSibling.textContent = signed(state.shifts[k]);
  });
}

function change(values) {
  stopPlaying();
  Object.assign(state, values);
  showState();
  draw();
}

const noShifts = () => sliders.map(() => 0);

function setUpControls() {
  byId("random").addEventListener("click", () => {
    change({ seed: Math.floor(Math.random() * 1e6), latent: null, shifts: noShifts() });
  });
  byId("seed").addEventListener("input", (event) => {
    if (event.target.value === "" || !event.target.checkValidity()) return;
    change({ seed: Number(event.target.value), latent: null });
  });
  byId("seed").addEventListener("change", showState); // in the place of what is no seed
  byId("label")?.addEventListener("change", (event) => change({ label: Number(event.target.value) }));
  byId("truncation").addEventListener("input", (event) => {
    const value = Number(event.target.value);
    change({ truncation: value >= FULL ? null : value });
  });
  sliders.forEach((slider, k) => {
    slider.addEventListener("input", () => {
      const shifts = [...state.shifts];
      shifts[k] = Number(slider.value);
      change({ shifts });
    });
  });
  byId("reset")?.addEventListener("click", () => change({ shifts: noShifts() }));
  byId("open").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", openLatent);
  byId("save-image").addEventListener("click", () => picture && save(picture, `${fileName()}.png`));
  byId("save-latent").addEventListener("click", () => {
    resolve(shown, (found) => {
      const content = { run: data.run, step: data.step, class: data.classes[found.label] ?? null, ...found };
      save(new Blob([JSON.stringify(content)], { type: "application/json" }), `${fileName()}.json`);
    });
  });
}

const fileName = () => [data.name, ...byId("caption").textContent.split(" · ")].join("-").replaceAll(/[^\w.+-]+/g, "_");

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Those of a large network take minutes to find.
function waitForDirections() {
  new Questions().ask("directions", "/directions", {}, async () => {
    byId("directions").disabled = false;
    byId("finding").hidden = true;
  });
}

// A file of "Save latent" or of gan-exp invert.
function openLatent(event) {
  const [file] = event.target.files;
  if (!file) return;
  event.target.value = "";
  if (file.size > LARGEST_FILE) return say(`${file.name} is larger than a latent.`);
  const reader = new FileReader();
  reader.addEventListener("load", () => {
    const content = reader.result.slice(reader.result.indexOf(",") + 1);
    images.ask("file", "/open", { content }, async (response) => {
      const { latent, label, sentence } = await response.json();
      if (latent === null) return say(`${file.name} ${sentence}.`);
      change({ latent, label: label ?? state.label, truncation: null, shifts: noShifts() });
    });
  });
  reader.readAsDataURL(file);
}
