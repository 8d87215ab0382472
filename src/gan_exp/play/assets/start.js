// Brings the page to life.
setUpTheme();
setUpControls();
waitForDirections();
setUpVariations();
setUpTray();
setUpNearest();
const before = recall();
Object.assign(state, { label: data.classes.length ? 0 : null, shifts: noShifts() }, before?.state);
byId("picture").classList.toggle("pixels", data.small);
byId("nearest-image").classList.toggle("pixels", data.small);
showState();
draw();
before?.kept.forEach(({ start, words }) => keep(start, words));
addEventListener("pagehide", remember);
