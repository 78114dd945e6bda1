// ------------------------------------------------------------------------------------------ the picture
const PAUSE = 150; // milliseconds without another change, before a picture is drawn
const PATIENCE = 5000; // before gradio is asked again
const TRIES = 3;
const SLOW = 400; // before it is said that a picture is being drawn
let drawn = { key: "", url: "" }; // the picture that is shown
let drawing = null; // AbortController
let pause = 0;
let slow = 0;
let patience = 0;
let query = ""; // threshold and classes, as the last answer has them

// On a phone the picture is below the screen.
function bringIntoView() {
  if (lookThere && matchMedia("(max-width: 56rem)").matches) get("summary").scrollIntoView();
  lookThere = false;
}

function stageTell(text, label = "", action = null) {
  clearTimeout(slow);
  get("stage-told").textContent = text;
  get("stage-again").textContent = label;
  get("stage-again").hidden = !action;
  get("stage-again").onclick = () => {
    action();
    get("stage").focus();
  };
}

function clearPicture() {
  drawing?.abort();
  clearTimeout(pause);
  if (drawn.url) URL.revokeObjectURL(drawn.url);
  drawn = { key: "", url: "" };
  get("view").hidden = true;
  get("view").removeAttribute("src");
}

function beginDrawing() {
  get("stage").setAttribute("aria-busy", true);
  stageTell("");
  slow = setTimeout(() => stageTell("Drawing …"), SLOW);
}

function fail(text, label = "Try again", action = () => choose(current)) {
  clearPicture();
  get("stage").setAttribute("aria-busy", false);
  stageTell(text, label, action);
  bringIntoView();
}

function awaitAnswer(photo) {
  get("said").textContent = "";
  if (!drawn.key.startsWith(`${photo.token} `)) clearPicture(); // it would be another photo's
  beginDrawing();
  beSureOfAnswer();
}

const told = () => get("summary").querySelector(".photo")?.dataset;

// As the server writes it in its answer. Of the slider's two inputs only the number has what is between two steps.
function chosenQuery() {
  const { value, min, max } = document.querySelector("#least input[type=number]");
  const percent = Math.min(Math.max(value, min), max);
  const boxes = [...document.querySelectorAll("#classes input")];
  const classes = boxes.flatMap((box, number) => (box.checked ? [number] : []));
  return `threshold=${Number((percent / 100).toFixed(4))}&classes=${classes}`;
}

// An answer can fail to come, for instance where the server has too many visitors at once.
function beSureOfAnswer(tries = 1) {
  clearTimeout(patience);
  patience = setTimeout(() => {
    const last = told();
    if (!current || (last?.asked === asked() && (last.gone || last.query === chosenQuery()))) return;
    if (document.querySelector("#least input[type=number]").value === "") return; // it is being typed
    if (tries === TRIES) return fail("The server does not answer.");
    askAgain();
    beSureOfAnswer(tries + 1);
  }, PATIENCE);
}

// An answer of gradio's: of the photo that is asked for, or of one before it, which nobody waits for any more.
function answered() {
  const last = told();
  if (last?.asked !== asked()) return undefined;
  get("kept").hidden = Boolean(last.gone);
  if (last.gone) return fail(last.gone, "Send it again", sendAgain());
  query = last.query;
  for (const one of document.querySelectorAll("#kept [data-save]")) {
    one.setAttribute(one.matches("a") ? "href" : "data-send", `results/${current.token}/${one.dataset.save}?${query}`);
  }
  const key = `${current.token} ${query}`;
  clearTimeout(pause);
  if (key === drawn.key) {
    drawing?.abort();
    return showDone(last.said);
  }
  beginDrawing();
  pause = setTimeout(() => showPicture(current, key, last.said), drawn.key ? PAUSE : 0);
  return undefined;
}

function showDone(said) {
  get("view").alt = said;
  get("stage").setAttribute("aria-busy", false);
  stageTell("");
  bringIntoView();
}

function sendAgain() {
  const photo = current;
  return () => retry([photo]);
}

async function showPicture(photo, key, said) {
  drawing?.abort();
  drawing = new AbortController();
  const { signal } = drawing;
  const answer = await fetched(`results/${photo.token}/view?${key.slice(key.indexOf(" ") + 1)}`, "blob", { signal });
  if (signal.aborted) return undefined;
  if (answer.gone) return fail(answer.error, "Send it again", sendAgain());
  if (answer.error) return fail(`The picture cannot be shown. ${answer.error}`);
  const url = URL.createObjectURL(answer.body);
  const image = Object.assign(new Image(), { src: url });
  const whole = await image.decode().then(() => true, () => false);
  if (signal.aborted || !whole) URL.revokeObjectURL(url);
  if (signal.aborted) return undefined;
  if (!whole) return fail("The picture that came cannot be shown.");
  if (drawn.url) URL.revokeObjectURL(drawn.url);
  drawn = { key, url };
  get("view").src = url;
  get("view").hidden = false;
  showDone(said);
  if (!photo.pictured) thumbnail(photo, answer.body);
  return undefined;
}

let thumbnails = Promise.resolve(); // one after another

function thumbnailLater(photo) {
  thumbnails = thumbnails.then(async () => {
    const answer = await fetched(`results/${photo.token}/view?${query}`, "blob");
    if (answer.body && !photo.pictured) await thumbnail(photo, answer.body);
  });
}

// ------------------------------------------------------------------------------------------ downloads and Label Studio
let sending = false;

function say(text, bad = false, link = null) {
  get("said").textContent = text;
  get("said").classList.toggle("bad", bad);
  if (!link || !/^https?:/.test(link)) return;
  get("said").append(" ", Object.assign(make("a", "", "Open it there"), { href: link, target: "_blank", rel: "noopener" }));
}

// What is told of a photo says which one, when another is shown by now.
const named = (photo, text) => (photo === current ? text : `${photo.name}: ${text}`);

// Fetched and not followed: where it fails, the page stays and says why.
async function save(link) {
  const photo = current;
  say(`Making ${link.textContent} …`);
  const answer = await fetched(link.href, "blob");
  if (answer.error) return say(named(photo, `${link.textContent}: ${answer.error}`), true);
  const url = URL.createObjectURL(answer.body);
  const download = fileName(answer.response.headers.get("content-disposition") ?? "") ?? link.dataset.save;
  const anchor = Object.assign(make("a"), { href: url, download });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  return say(`${link.textContent} is downloaded as ${download}.`); // named after its photo
}

function fileName(disposition) {
  const encoded = /filename\*=utf-8''([^;]+)/i.exec(disposition)?.[1];
  try {
    if (encoded) return decodeURIComponent(encoded);
  } catch {
    // then the plain one
  }
  return /filename="((?:[^"\\]|\\.)*)"/i.exec(disposition)?.[1].replace(/\\(.)/g, "$1");
}

async function send(button) {
  if (sending) return; // a second click
  sending = true;
  const photo = current;
  say("Sending the photo to Label Studio …");
  const { error, body } = await fetched(button.dataset.send, "json", { method: "POST" });
  sending = false;
  if (error) say(named(photo, error), true);
  else say(named(photo, body.said), false, body.link);
}

function wirePicture() {
  new MutationObserver(answered).observe(get("summary"), { childList: true, subtree: true, attributes: true });
  get("stage").tabIndex = -1;
  for (const type of ["input", "change"]) get("choices").addEventListener(type, () => beSureOfAnswer());
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in another tab: as the browser does it
    const link = event.target.closest?.("a[data-save]");
    if (link) event.preventDefault();
    if (link) save(link);
    const button = event.target.closest?.("button[data-send]");
    if (button) send(button);
  });
  // Of an example whose small picture is not there, the name remains.
  document.addEventListener("error", ({ target }) => {
    if (target.matches?.(".tile img")) target.hidden = true;
  }, true);
  for (const image of document.querySelectorAll("#examples img")) image.hidden = image.complete && !image.naturalWidth;
}
