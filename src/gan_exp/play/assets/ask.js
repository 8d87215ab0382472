// Questions to the server: one at a time, and of each kind only the newest, so that nothing queues up behind a slider.
const FIRST = ["picture", "latent"]; // the others go in the order of their questions

class Questions {
  waiting = new Map(); // from the kind, a word or an object, to { path, question, use }
  asking = false;

  ask(kind, path, question, use) {
    this.waiting.set(kind, { path, question, use });
    if (!this.asking) this.answerAll();
  }

  forget(kind) {
    this.waiting.delete(kind);
  }

  async answerAll() {
    this.asking = true;
    while (this.waiting.size > 0) {
      const kind = FIRST.find((one) => this.waiting.has(one)) ?? this.waiting.keys().next().value;
      const asked = this.waiting.get(kind);
      this.waiting.delete(kind);
      await answer(kind, asked);
    }
    this.asking = false;
  }
}

const images = new Questions();
const neighbours = new Questions(); // which may wait for the data set

async function answer(kind, { path, question, use }) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(question),
    });
    if (!response.ok) throw new Error(await response.text());
    await use(response);
    if (kind === "picture") say("");
  } catch (error) {
    say(error instanceof TypeError ? "The server does not answer; start it again with gan-exp play." : error.message);
  }
}

// A sentence below the picture.
const say = (sentence) => (byId("message").textContent = sentence);

// Puts an image into an element, decoded, so that the next question waits until it can be seen.
async function show(image, response) {
  const blob = await response.blob();
  const before = image.src;
  image.src = URL.createObjectURL(blob);
  await image.decode();
  if (before) URL.revokeObjectURL(before);
  return blob;
}
