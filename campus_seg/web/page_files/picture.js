// ------------------------------------------------------------------------------------------ the picture
const PAUSE = 150; // milliseconds without another change, before a picture is drawn
const PATIENCE = 15000;
let drawn = { key: "", url: "" }; // the picture that is shown
let drawing = null; // AbortController
let pause = 0;
let patience = 0;
let query = ""; // threshold and classes, as the last answer has them

function stageTell(text, label = "", action = null) {
  get("stage").hidden = false;
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

function awaitAnswer(photo) {
  get("said").textContent = "";
  if (!drawn.key.startsWith(`${photo.token} `)) clearPicture(); // it would be another photo's
  stageTell("Drawing …");
  get("stage").setAttribute("aria-busy", true);
  clearTimeout(patience);
  patience = setTimeout(() => {
    get("stage").setAttribute("aria-busy", false);
    stageTell("The server does not answer.", "Try again", () => choose(photo));
  }, PATIENCE);
}

// An answer of gradio's: of the photo that is asked for, or of one before it, which nobody waits for any more.
function answered() {
  const told = get("summary").querySelector(".photo")?.dataset;
  if (!told || told.token !== current?.token) return;
  clearTimeout(patience);
  if (told.gone) return showGone(told.gone);
  query = told.query;
  const key = `${told.token} ${query}`;
  clearTimeout(pause);
  if (key === drawn.key) {
    drawing?.abort();
    return showDone(told.said);
  }
  get("stage").setAttribute("aria-busy", true);
  pause = setTimeout(() => showPicture(current, key, told.said), drawn.key ? PAUSE : 0);
  return undefined;
}

function showDone(said) {
  get("view").alt = said;
  get("stage").setAttribute("aria-busy", false);
  stageTell("");
}

function showGone(text) {
  clearPicture();
  get("stage").setAttribute("aria-busy", false);
  const photo = current;
  stageTell(text, "Send it again", () => retry([photo]));
}

async function showPicture(photo, key, said) {
  drawing?.abort();
  drawing = new AbortController();
  const { signal } = drawing;
  stageTell("Drawing …");
  const answer = await fetched(`results/${photo.token}/view?${key.slice(key.indexOf(" ") + 1)}`, { signal });
  const blob = answer.error || answer.stopped ? null : await answer.response.blob().catch(() => null);
  if (signal.aborted) return;
  if (!blob) {
    if (answer.gone) return showGone(answer.error);
    clearPicture();
    get("stage").setAttribute("aria-busy", false);
    stageTell(`The picture cannot be shown. ${answer.error ?? UNREACHED}`, "Try again", () => choose(photo));
    return;
  }
  const url = URL.createObjectURL(blob);
  const image = Object.assign(new Image(), { src: url });
  const whole = await image.decode().then(() => true, () => false);
  if (signal.aborted || !whole) URL.revokeObjectURL(url);
  if (signal.aborted) return;
  if (!whole) {
    clearPicture();
    get("stage").setAttribute("aria-busy", false);
    stageTell("The picture that came cannot be shown.", "Try again", () => choose(photo));
    return;
  }
  if (drawn.url) URL.revokeObjectURL(drawn.url);
  drawn = { key, url };
  get("view").src = url;
  get("view").hidden = false;
  showDone(said);
  if (!photo.pictured) thumbnail(photo, blob);
}

let thumbnails = Promise.resolve(); // one after another

function thumbnailLater(photo) {
  thumbnails = thumbnails.then(async () => {
    const answer = await fetched(`results/${photo.token}/view?${query}`);
    if (answer.response && !photo.pictured) await thumbnail(photo, await answer.response.blob().catch(() => null));
  });
}

// ------------------------------------------------------------------------------------------ downloads and Label Studio
let saving = false;

function say(text, bad = false, link = null) {
  get("said").textContent = text;
  get("said").classList.toggle("bad", bad);
  if (!link || !/^https?:/.test(link)) return;
  get("said").append(" ", Object.assign(make("a", "", "Open it there"), { href: link, target: "_blank", rel: "noopener" }));
}

// Fetched and not followed: where it fails, the page stays and says why.
async function save(link) {
  if (saving) return;
  saving = true;
  say(`Making ${link.textContent} …`);
  const answer = await fetched(link.href);
  const blob = answer.error ? null : await answer.response.blob().catch(() => null);
  saving = false;
  if (!blob) return say(`${link.textContent}: ${answer.error ?? UNREACHED}`, true);
  const url = URL.createObjectURL(blob);
  const download = fileName(answer.response.headers.get("content-disposition") ?? "") ?? link.dataset.save;
  const anchor = Object.assign(make("a"), { href: url, download });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  return say(`${link.textContent} is downloaded as ${download}.`);
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
  if (saving) return;
  saving = true;
  say("Sending the photo to Label Studio …");
  const answer = await fetched(button.dataset.send, { method: "POST" });
  const told = answer.error ? null : await answer.response.json().catch(() => null);
  saving = false;
  if (told) say(told.said, false, told.link);
  else say(answer.error ?? UNREACHED, true);
}

function wirePicture() {
  new MutationObserver(answered).observe(get("summary"), { childList: true, subtree: true, attributes: true });
  get("stage").tabIndex = -1;
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
