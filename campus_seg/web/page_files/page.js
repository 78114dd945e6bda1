// Names come from other people: they reach the page as text only (textContent, alt, title).
const get = (id) => document.getElementById(id);
const make = (tag, className = "", text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
const UNREACHED = "The server cannot be reached. It may have been stopped, or the connection is down.";
const AT_ONCE = 50; // photos

// ------------------------------------------------------------------------------------------ photos of this visit
const waiting = []; // to be sent, one after another
let failed = []; // that can be tried again
let current = null; // the photo that is shown
let stopping = null; // AbortController of what is being sent
// What was given at once; `shown` is whether one of it is shown already.
let batch = { total: 0, done: 0, found: 0, shown: false };
let lookThere = false; // when there is something to see of a photo that was chosen
let times = 0; // that a photo was asked for

const tell = (text) => {
  get("told").textContent = text;
};

function complain(name, text) {
  const item = make("li");
  item.append(Object.assign(make("b"), { dir: "auto", textContent: name }), `: ${text}`);
  get("errors").append(item);
  return item;
}

function begin() {
  if (batch.total === batch.done) {
    batch = { total: 0, done: 0, found: 0, shown: false };
    get("errors").replaceChildren(...failed.map((photo) => photo.complaint));
  }
}

function add(files) {
  const list = [...files];
  if (!list.length) return;
  begin();
  if (list.length > AT_ONCE) complain(`${list.length} photos`, `That is too many at once. The first ${AT_ONCE} are taken.`);
  const most = Number(get("settings").dataset.maxBytes);
  for (const file of list.slice(0, AT_ONCE)) {
    if (file.size <= most) enqueue({ file, name: file.name });
    else refuse(file.name, `This file is too large: it has ${(file.size / 1e6).toFixed(1)} MB, and a photo may have at most ${most / 1e6} MB.`);
  }
  work();
}

function refuse(name, text) {
  complain(name, text);
  batch.total += 1;
  batch.done += 1;
}

function enqueue(photo) {
  photo.token = null;
  waiting.push(photo);
  batch.total += 1;
}

async function work() {
  if (stopping) return draw();
  while (waiting.length) {
    const photo = waiting.shift();
    stopping = new AbortController();
    draw(photo);
    await ask(photo, stopping.signal);
    batch.done += 1;
  }
  stopping = null;
  draw();
  tell(batch.total > 1 ? `${batch.found} of ${batch.total} photos done.` : "");
}

function draw(photo) {
  if (!stopping && document.activeElement === get("stop")) get("files").focus();
  get("progress").hidden = !stopping;
  get("bar").max = batch.total;
  get("bar").value = batch.done;
  get("again").hidden = !failed.length || Boolean(stopping);
  get("again").textContent = failed.length > 1 ? `Try these ${failed.length} photos again` : "Try again";
  if (photo) tell(`Photo ${batch.done + 1} of ${batch.total}: looking at ${photo.name} …`);
}

async function ask(photo, signal) {
  try {
    if (photo.file) await photo.file.slice(0, 1).arrayBuffer(); // a folder, or a file that is gone by now
  } catch {
    return complain(photo.name, "This cannot be read. It may be a folder, or a file that is no longer there.");
  }
  const address = photo.file ? `photos?name=${encodeURIComponent(wellFormed(photo.name))}` : `examples/${photo.example}`;
  const answer = await fetched(address, "json", { method: "POST", body: photo.file, signal });
  if (answer.stopped) return complain(photo.name, "Stopped.");
  if (answer.error) {
    photo.complaint = complain(photo.name, answer.error);
    if (answer.again) failed.push(photo);
    return undefined;
  }
  Object.assign(photo, { token: answer.body.token, name: answer.body.name });
  batch.found += 1;
  if (!photo.tile) addTile(photo);
  else drawTile(photo);
  if (!batch.shown || current === photo) {
    batch.shown = true;
    choose(photo);
    if (get("errors").childElementCount) lookThere = false; // they are above, and unread
  } else thumbnailLater(photo);
  return undefined;
}

const wellFormed = (name) => (name.toWellFormed?.() ?? name.replace(/[\ud800-\udfff]/g, "")).slice(-200);

// The answer's `response` and its whole `body`, read as "json" or "blob"; or that it was `stopped`; or an `error` in
// words, whether it makes sense to ask `again`, and whether what was asked for is `gone`.
async function fetched(address, read, options) {
  let response;
  try {
    response = await fetch(address, { ...options, cache: "no-store" });
    if (response.ok) return { response, body: await response[read]() };
  } catch {
    return options?.signal?.aborted ? { stopped: true } : { error: UNREACHED, again: true };
  }
  const told = await response.json().catch(() => ({}));
  const again = response.status === 429 || response.status >= 500;
  const error = told.error || (again ? "The server could not do this just now." : `The server refused this (${response.status}).`);
  return { error, again, gone: response.status === 404 };
}

// ------------------------------------------------------------------------------------------ the strip of photos
function addTile(photo) {
  const item = make("li");
  photo.tile = Object.assign(make("button", "tile"), { type: "button" });
  photo.tile.append(Object.assign(make("img"), { alt: "", hidden: true }), make("span"));
  photo.tile.addEventListener("click", () => {
    batch.shown = true;
    choose(photo);
  });
  item.append(photo.tile);
  get("strip").append(item);
  get("visit").hidden = false;
  drawTile(photo);
}

function drawTile(photo) {
  photo.tile.title = photo.tile.lastChild.textContent = photo.name;
  photo.tile.setAttribute("aria-current", photo === current);
}

// Shows a photo: what there is to tell comes from gradio, the picture as soon as that is there.
function choose(photo) {
  const before = current;
  current = photo;
  if (before && before !== photo) drawTile(before);
  drawTile(photo);
  const strip = get("strip"); // by itself: the page stays where it is
  strip.scrollLeft = photo.tile.offsetLeft - (strip.clientWidth - photo.tile.offsetWidth) / 2;
  awaitAnswer(photo);
  askAgain();
  lookThere = true;
}

const asked = () => `${current?.token}.${times}`;

function askAgain() {
  times += 1;
  const field = document.querySelector("#asked textarea, #asked input");
  field.value = asked();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

async function thumbnail(photo, blob) {
  const tile = photo.tile.firstChild;
  try {
    const bitmap = await createImageBitmap(blob);
    const canvas = make("canvas");
    const scale = Math.min(1, 240 / Math.min(bitmap.width, bitmap.height));
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    tile.src = canvas.toDataURL("image/jpeg", 0.8);
    tile.hidden = false;
    photo.pictured = true;
  } catch {
    tile.hidden = true; // its name is there
  }
}

// ------------------------------------------------------------------------------------------ ways to give photos
function wire() {
  get("files").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = ""; // the same file may be chosen again
  });
  get("stop").addEventListener("click", () => {
    for (const photo of waiting) complain(photo.name, "Stopped.");
    batch.done += waiting.length;
    waiting.length = 0;
    stopping?.abort();
    get("files").focus();
  });
  get("again").addEventListener("click", () => retry(failed));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-example]");
    if (!button) return;
    begin();
    enqueue({ example: button.dataset.example, name: `Example ${Number(button.dataset.example) + 1}` });
    work();
  });
  get("classes").setAttribute("aria-label", "Classes");
  get("summary").setAttribute("role", "status"); // screen readers tell what changes in what was there before
  document.addEventListener("click", (event) => {
    const all = event.target.closest?.("[data-all]")?.dataset.all;
    if (all === undefined) return;
    for (const box of document.querySelectorAll("#classes input")) if (box.checked !== Boolean(all)) box.click();
  });
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // else the browser would open the file instead of this page
    document.documentElement.classList.add("dragged");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.documentElement.classList.remove("dragged");
  });
  addEventListener("drop", (event) => {
    document.documentElement.classList.remove("dragged");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    add(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    add(event.clipboardData.files);
  });
  wirePicture();
  wireCamera();
  document.documentElement.dataset.ready = "";
}

function retry(photos) {
  failed = failed.filter((photo) => !photos.includes(photo));
  for (const photo of photos) photo.complaint?.remove();
  begin();
  for (const photo of photos) enqueue(photo);
  work();
  get("files").focus();
}

// gradio makes the page's elements after this script was read.
new MutationObserver((_, observer) => {
  const parts = ["files", "view", "said", "summary", "classes", "strip", "kept"];
  const fields = ["#asked :is(textarea, input)", "#least input[type=number]"];
  if (!parts.every(get) || !fields.every((field) => document.querySelector(field))) return;
  observer.disconnect();
  wire();
}).observe(document.documentElement, { childList: true, subtree: true });
