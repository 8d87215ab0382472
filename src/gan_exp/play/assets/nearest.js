// The nearest training image, while it is asked for.
const wantsNearest = () => byId("find-nearest").getAttribute("aria-pressed") === "true";

function askNearest() {
  if (!wantsNearest()) return;
  byId("neighbour").classList.add("stale");
  neighbours.ask("nearest", "/nearest", shown, async (response) => {
    const { image, sentence } = await response.json();
    byId("neighbour").classList.remove("stale");
    byId("nearest-words").textContent = sentence;
    byId("nearest-image").hidden = image === null;
    if (image !== null) byId("nearest-image").src = image;
    else withoutData();
  });
}

// Without the data set there is no nearest image, for this picture or another.
function withoutData() {
  byId("find-nearest").hidden = true;
  byId("find-nearest").setAttribute("aria-pressed", "false");
}

function setUpNearest() {
  byId("find-nearest").addEventListener("click", () => {
    const wanted = !wantsNearest();
    byId("find-nearest").setAttribute("aria-pressed", String(wanted));
    byId("find-nearest").textContent = wanted ? "Hide" : "Show";
    byId("neighbour").hidden = !wanted;
    if (!wanted) return neighbours.forget("nearest");
    byId("nearest-image").hidden = true;
    byId("nearest-words").textContent = "Reading the data set ...";
    askNearest();
  });
}
