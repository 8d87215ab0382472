// The grids of samples: a slider over the steps, for one run or for many side by side.
let images = null;

function setUpSamples() {
  const slider = byId("step");
  if (!slider) return;
  images = readJson("images");
  const { steps } = data.samples;
  const show = (index) => {
    slider.value = index;
    byId("step-value").textContent = `step ${formatStep(steps[index])}`;
    slider.setAttribute("aria-valuetext", `step ${formatStep(steps[index])}`);
    all("[data-grid]").forEach((tile) => showGrid(tile, index));
    all("[data-still]").forEach((still) => still.setAttribute("aria-current", String(Number(still.dataset.still) === index)));
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  all("[data-still]").forEach((still) => {
    const index = Number(still.dataset.still);
    still.querySelector("img").src = images[data.samples.runs[0][index]] ?? "";
    still.addEventListener("click", () => show(index));
  });
  setUpPlay(slider, show);
  show(steps.length - 1);
}

function showGrid(tile, index) {
  const number = data.samples.runs[Number(tile.dataset.grid)][index];
  const image = tile.querySelector("img");
  tile.classList.toggle("missing", number === null);
  image.hidden = number === null;
  if (number === null) return;
  const name = data.runs[Number(tile.dataset.grid)].name;
  image.alt = `samples of ${name} at step ${formatStep(data.samples.steps[index])}`;
  image.src = images[number];
}

function setUpPlay(slider, show) {
  const button = byId("play");
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    const last = data.samples.steps.length - 1;
    if (Number(slider.value) >= last) show(0);
    button.textContent = "Pause";
    timer = setInterval(() => {
      show(Number(slider.value) + 1);
      if (Number(slider.value) >= last) stop();
    }, Math.max(120, Math.min(600, 8000 / (last + 1))));
  });
  slider.addEventListener("pointerdown", stop);
  slider.addEventListener("keydown", stop);
}
