"use strict";
// Names come from other people: they reach the page as text (textContent, alt, title) and as percent-encoded paths only.

const get = (id) => document.getElementById(id);
const path = (kind, { name }, ending = "jpg") => `${kind}/${name.split("/").map(encodeURIComponent).join("/")}.${ending}`;
const searchable = (text) => text.normalize("NFC").toLowerCase();
const percent = (share, digits) => `${(100 * share).toFixed(digits)}%`;
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const make = (tag, className, text = "") =>
  Object.assign(document.createElement(tag), { className, textContent: text });

// ------------------------------------------------------------------------------------------ what there is
if (typeof GALLERY === "undefined") {
  get("notice").hidden = false;
  get("notice").textContent = "gallery.js cannot be read. It lies beside index.html and has to be copied with it.";
  throw new Error("gallery.js is missing");
}
const classes = GALLERY.classes.map(([name, color]) => ({ name, color, wanted: true, count: 0 }));
const photos = GALLERY.photos.map(([file, name, width, height, pictured, rows]) => {
  const objects = rows.map(([id, cls, score, x, y, w, h, area]) => ({ id, of: classes[cls], score, x, y, w, h, area }));
  return { file, name, width, height, pictured, objects, key: searchable(file) };
});
const anyPicture = photos.some((photo) => photo.pictured);
const objectCount = photos.reduce((sum, photo) => sum + photo.objects.length, 0);
const without = { name: "no object", color: "", wanted: true, count: 0 };

// ------------------------------------------------------------------------------------------ what is wanted
let least = 0; // score
let shown = []; // photos
let version = 0; // of what is wanted: cards that are older have to count anew

const passes = (object) => object.of.wanted && object.score >= least;

function filter() {
  const text = searchable(get("search").value);
  least = get("score").value / 100;
  shown = [];
  version += 1;
  for (const one of [...classes, without]) one.count = 0;
  let found = 0;
  for (const photo of photos) {
    if (!photo.key.includes(text)) continue;
    let passing = 0;
    for (const object of photo.objects) {
      if (object.score >= least) object.of.count += 1;
      if (passes(object)) passing += 1;
    }
    if (!photo.objects.length) without.count += 1;
    if (passing || (!photo.objects.length && without.wanted)) shown.push(photo);
    found += passing;
  }
  for (const one of [...classes, without]) one.output.textContent = one.count.toLocaleString("en");
  get("score-text").textContent = `${get("score").value}%`;
  [shown.length, plural(photos.length, "photo"), found, plural(objectCount, "object")].forEach((value, i) => {
    get("status").children[i].textContent = value.toLocaleString("en");
  });
  get("notice").hidden = anyPicture && shown.length > 0;
  get("notice").textContent = !photos.length
    ? "No photo was masked."
    : !shown.length
      ? "No photo is like that. Lower the score, tick more classes or search for something else."
      : "There are no pictures here: the photos were masked without overlays (--save). Click on one for its objects.";
  if (list.getBoundingClientRect().top < 0) list.scrollIntoView();
  layOut();
}

function addClass(one, className) {
  const item = make("li", className);
  const label = make("label", "");
  one.box = Object.assign(make("input", ""), { type: "checkbox", checked: true });
  one.box.addEventListener("change", () => {
    one.wanted = one.box.checked;
    filter();
  });
  const swatch = make("span", "swatch");
  swatch.style.setProperty("--color", one.color);
  one.output = make("span", "count");
  label.append(one.box, swatch, make("span", "", one.name), one.output);
  item.append(label);
  get("classes").append(item);
}

function wantAll(wanted) {
  for (const one of [...classes, without]) one.wanted = one.box.checked = wanted;
  filter();
}

// ------------------------------------------------------------------------------------------ the photos in view
// Only the cards in view and a little around them exist, however many photos there are.
const list = get("photos");
const cards = new Map(); // photo -> card
const grid = { columns: 1, width: 0, height: 0 }; // of a card, in pixels
const AROUND = 2; // rows
let due = false;

function layOut() {
  const first = Math.max(0, Math.round(-list.getBoundingClientRect().top / grid.height)) * grid.columns || 0;
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const narrowest = innerWidth < 500 ? 9.5 * rem : 14 * rem;
  grid.columns = Math.max(1, Math.floor(list.clientWidth / narrowest));
  grid.width = list.clientWidth / grid.columns;
  const before = grid.height;
  grid.height = Math.round((anyPicture ? (grid.width - 8) * 0.75 : 0) + 8 + 3.2 * rem); // as in the style
  list.style.height = `${Math.ceil(shown.length / grid.columns) * grid.height}px`;
  if (first && before !== grid.height) {
    scrollTo(0, scrollY + list.getBoundingClientRect().top + Math.floor(first / grid.columns) * grid.height);
  }
  draw();
}

function draw() {
  due = false;
  const top = -list.getBoundingClientRect().top;
  const row = (y) => Math.floor(y / grid.height);
  const first = Math.max(0, row(top) - AROUND) * grid.columns;
  const last = Math.min(shown.length, (row(top + innerHeight) + 1 + AROUND) * grid.columns);
  const places = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
  const focused = placeOf(document.activeElement);
  if (focused >= 0 && !(focused >= first && focused < last)) places[focused < first ? "unshift" : "push"](focused);
  const wanted = new Set(places.map((place) => shown[place]));
  for (const [photo, card] of cards) {
    if (!wanted.has(photo)) {
      card.remove();
      cards.delete(photo);
    }
  }
  let next = list.firstElementChild;
  for (const place of places) {
    const photo = shown[place];
    if (!cards.has(photo)) cards.set(photo, makeCard(photo));
    const card = cards.get(photo);
    if (card === next) next = next.nextElementSibling;
    else list.insertBefore(card, next); // in reading order, for the tab key and for screen readers
    placeCard(card, photo, place);
  }
}

function placeOf(element) {
  const [photo] = [...cards].find(([, card]) => card.contains(element)) ?? [];
  return photo ? shown.indexOf(photo) : -1;
}

function drawSoon() {
  if (!due) requestAnimationFrame(draw);
  due = true;
}

function makeCard(photo) {
  const card = get("card").content.firstElementChild.cloneNode(true);
  const slash = photo.file.lastIndexOf("/") + 1;
  const base = [...photo.file.slice(slash)];
  const kept = base.length > 20 ? 9 : 0; // of a long name the middle goes, since numbers are at its end
  card.querySelector(".head").textContent = base.slice(0, base.length - kept).join("");
  card.querySelector(".tail").textContent = base.slice(base.length - kept).join("");
  card.querySelector(".folder").textContent = photo.file.slice(0, slash);
  card.querySelector(".name").title = photo.file;
  card.classList.toggle("unpictured", !anyPicture);
  const image = card.querySelector("img");
  if (photo.pictured) image.src = path("thumbnails", photo);
  else image.hidden = true;
  card.firstElementChild.addEventListener("click", () => view(shown.indexOf(photo)));
  return card;
}

function placeCard(card, photo, place) {
  card.style.width = `${grid.width}px`;
  card.style.height = `${grid.height}px`;
  card.style.left = `${(place % grid.columns) * grid.width}px`;
  card.style.top = `${Math.floor(place / grid.columns) * grid.height}px`;
  if (card.version === version) return;
  card.version = version;
  card.setAttribute("aria-posinset", place + 1);
  card.setAttribute("aria-setsize", shown.length);
  const counts = new Map();
  for (const object of photo.objects.filter(passes)) counts.set(object.of, (counts.get(object.of) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  const said = sorted.map(([one, count]) => `${count} ${one.name}`).join(", ") || "no object";
  card.querySelector("img").alt = said;
  card.firstElementChild.setAttribute("aria-label", `${photo.file}: ${said}`);
  const chips = sorted.map(([one, count]) => {
    const chip = make("span", "");
    const swatch = make("span", "swatch");
    swatch.style.setProperty("--color", one.color);
    chip.title = one.name;
    chip.append(swatch, String(count));
    return chip;
  });
  card.querySelector(".chips").replaceChildren(...(chips.length ? chips : ["no object"]));
}

function focusCard(place) {
  if (!shown[place]) return;
  const top = Math.floor(place / grid.columns) * grid.height + list.getBoundingClientRect().top;
  const covered = getComputedStyle(get("controls")).position === "sticky" ? get("controls").offsetHeight : 0;
  if (top < covered || top + grid.height > innerHeight) scrollBy(0, top - covered - 8);
  draw();
  cards.get(shown[place])?.firstElementChild.focus({ preventScroll: true });
}

function moveFocus(event) {
  const place = placeOf(event.target);
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -grid.columns, ArrowDown: grid.columns };
  if (place < 0 || !(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  focusCard(place + steps[event.key]);
}

// ------------------------------------------------------------------------------------------ one photo, large
const viewer = get("viewer");
let viewed = -1; // its place in `shown`

function view(place) {
  if (!shown[place]) return;
  viewed = place;
  const photo = shown[place];
  get("viewer-name").textContent = get("viewer-name").title = photo.file;
  get("position").textContent = `${(place + 1).toLocaleString("en")} of ${shown.length.toLocaleString("en")}`;
  get("previous").setAttribute("aria-disabled", place === 0);
  get("next").setAttribute("aria-disabled", place === shown.length - 1);
  get("found-title").textContent = photo.objects.length ? plural(photo.objects.length, "object") : "No object found";
  const boxes = get("boxes");
  boxes.setAttribute("viewBox", `0 0 ${photo.width} ${photo.height}`);
  const frame = box({ x: 0, y: 0, w: photo.width, h: photo.height });
  frame.setAttribute("class", "photo");
  boxes.replaceChildren(frame);
  get("objects").replaceChildren(...photo.objects.map((object) => listed(object, photo, boxes)));
  showPicture(photo.pictured ? path("overlay", photo) : null);
  for (const near of [shown[place + 1], shown[place - 1]]) {
    if (near?.pictured) new Image().src = path("overlay", near);
  }
  if (!viewer.open) viewer.showModal();
  viewer.querySelector(".found").scrollTop = 0;
}

function showPicture(source) {
  const large = get("large");
  get("boxes").classList.toggle("blank", !source); // then the boxes of all objects stand for it
  get("full").hidden = large.hidden = !source;
  if (!source) return large.removeAttribute("src");
  large.alt = `${shown[viewed].file} with its objects marked`;
  return (large.src = get("full").href = source);
}

function box({ x, y, w, h, of }) {
  const rectangle = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ x, y, width: w, height: h })) rectangle.setAttribute(name, value);
  if (of) rectangle.style.setProperty("--color", of.color);
  return rectangle;
}

function listed(object, photo, boxes) {
  const rectangle = box(object);
  boxes.append(rectangle);
  const item = make("li", "");
  const button = Object.assign(make("button", passes(object) ? "" : "out"), { type: "button" });
  button.setAttribute("aria-pressed", false);
  button.title = passes(object) ? "" : "The filters leave this one out";
  const swatch = make("span", "swatch");
  swatch.style.setProperty("--color", object.of.color);
  const share = object.area / (photo.width * photo.height);
  const more = `#${object.id} · ${object.area.toLocaleString("en")} px · ${percent(share, share < 0.1 ? 2 : 1)} of the photo`;
  button.append(swatch, make("span", "class", object.of.name), percent(object.score, 1), make("span", "more", more));
  const mark = () => {
    const on = button.getAttribute("aria-pressed") === "true" || button.matches(":hover, :focus-visible");
    rectangle.setAttribute("class", on ? "on" : "");
  };
  for (const type of ["pointerenter", "pointerleave", "focus", "blur"]) button.addEventListener(type, mark);
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    mark();
  });
  item.append(button);
  return item;
}

// ------------------------------------------------------------------------------------------ from here on it runs
for (const one of classes) addClass(one, "");
addClass(without, "without");
const lowest = !objectCount ? 0 : photos.reduce((low, photo) => photo.objects.reduce((min, { score }) => Math.min(min, score), low), 1);
get("score").min = get("score").value = Math.floor(100 * lowest);
get("table").hidden = !GALLERY.table;
for (const name of GALLERY.videos) {
  const link = Object.assign(make("a", "", name), { href: path("videos", { name }, "mp4"), target: "_blank" });
  const item = make("li", "");
  item.append("Video: ", link);
  get("videos").append(item);
}
get("filters").open = matchMedia("(min-width: 48.01rem)").matches;
get("search").addEventListener("input", filter);
get("score").addEventListener("input", filter);
get("all").addEventListener("click", () => wantAll(true));
get("none").addEventListener("click", () => wantAll(false));
list.addEventListener("keydown", moveFocus);
addEventListener("scroll", drawSoon, { passive: true });
let width = list.clientWidth;
new ResizeObserver(() => {
  if (list.clientWidth !== width) {
    width = list.clientWidth;
    layOut();
  } else drawSoon();
}).observe(document.documentElement);
get("previous").addEventListener("click", () => view(viewed - 1));
get("next").addEventListener("click", () => view(viewed + 1));
get("close").addEventListener("click", () => viewer.close());
get("large").addEventListener("error", () => showPicture(null));
viewer.addEventListener("close", () => focusCard(viewed));
viewer.addEventListener("keydown", (event) => {
  const places = { ArrowLeft: viewed - 1, ArrowRight: viewed + 1, Home: 0, End: shown.length - 1 };
  if (!(event.key in places) || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  view(places[event.key]);
});
filter();
