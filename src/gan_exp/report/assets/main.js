// Brings the page to life once it is read.
const data = readJson("data");

function redrawEverything() {
  redrawAll();
  drawScatter();
}

function setUpCopying() {
  for (const button of all("[data-copy]")) {
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("code").textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(button.parentElement.querySelector("code"));
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }
}

addEventListener("beforeprint", () => charts.forEach((chart) => chart.drawIfStale()));
all("[data-scripted]").forEach((one) => (one.hidden = false));
setUpTheme();
setUpCopying();
setUpTables();
setUpFilter();
setUpCurves();
setUpSamples();
setUpScatter();
