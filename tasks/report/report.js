"use strict";
// The gallery, the confusion matrices and the class rows of the page. Data: see tasks/report/gallery.py.
const data = JSON.parse(document.getElementById("looked").textContent);
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const two = data.models.length > 1;
const layers = 1 + 2 * data.models.length;
const form = $("#filters");
const fields = form.elements;
const viewer = $("#viewer");
const LARGEST = 60; // confusions to choose from
let shown = []; // positions in data.images
let at = 0; // in shown
let zoom = 1;
let view = { truth: false, wrong: false };
let timer = null;

function make(tag, properties = {}, ...children) {
  const { dataset, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const number = (value) => (value == null ? "–" : value.toFixed(3));
const pair = (i, j) => `${data.classes[i]} taken for ${data.classes[j]}`;
const model = () => Number(fields.model.value);

function layerOf(name, which) {
  return { truth: 0, prediction: 1 + 2 * which, wrong: 2 + 2 * which }[name];
}

function inWords(image, name, which) {
  if (name === "photo") return `Image ${image.id}`;
  if (name === "truth") return `Truth of ${image.id}: ${image.truth.map((c) => data.classes[c]).join(", ")}`;
  const who = data.models[which];
  if (!image.kept[which]) return `${who} of ${image.id}: not kept`;
  const errors = image.errors[which].map(([i, j, share]) => `${pair(i, j)} (${percent(share)})`).join(", ");
  return `${name === "wrong" ? "Errors of " : ""}${who} on ${image.id}: IU ${number(image.iu[which])}; ${errors || "no error"}`;
}

// A photograph and, over it, one layer of its strip. The pictures are decoded when they come near the window.
function picture(image, name, which) {
  const photo = make("img", { alt: inWords(image, name, which), width: image.size[0], height: image.size[1] });
  const above = make("div", { className: "above" });
  const both = make("div", { className: "picture" }, photo, above);
  both.show = (name, which) => {
    const layer = layerOf(name, which);
    photo.alt = inWords(image, name, which);
    above.hidden = name === "photo";
    above.style.backgroundPositionY = `${(100 * layer) / (layers - 1)}%`;
  };
  both.load = () => {
    photo.src = image.photo;
    above.style.backgroundImage = `url("${image.strip}")`;
    above.style.backgroundSize = `100% ${100 * layers}%`;
  };
  both.show(name, which);
  return both;
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((each) => each.isIntersecting)) {
    entry.target.load();
    near.unobserve(entry.target);
  }
}, { rootMargin: "600px" });

function share(image, which, error) {
  const [i, j] = error.split(" ").map(Number);
  return image.errors[which].find(([a, b]) => a === i && b === j)?.[2] ?? 0;
}

function classIU(image, which, value) {
  return image.ius[which].find(([c]) => c === value)?.[1];
}

function wanted() {
  const which = model();
  const value = fields.class.value === "" ? null : Number(fields.class.value);
  const error = fields.error.value;
  const [low, high] = [fields.low, fields.high].map((field) => Number(field.value));
  const score = (n, who = which) => (value == null ? data.images[n].iu[who] : classIU(data.images[n], who, value)) ?? null;
  const gain = (n) => (score(n) ?? 0) - (score(n, Number(fields.order.value.split(" ")[1])) ?? 0);
  const keys = { list: (n) => n, worst: (n) => score(n) ?? 2, best: (n) => -(score(n) ?? -1), gain: (n) => -gain(n), loss: gain };
  const key = keys[fields.order.value.split(" ")[0]];
  const found = data.images.map((_, n) => n).filter((n) => {
    const image = data.images[n];
    const iu = score(n);
    if (value != null && !image.truth.includes(value) && classIU(image, which, value) == null) return false;
    if (error && !share(image, which, error)) return false;
    if (fields.winner?.value && image.winner !== Number(fields.winner.value)) return false;
    return iu == null ? low === 0 && high === 1 : iu >= low && iu <= high;
  });
  const sorted = error && fields.order.value === "worst" ? (n) => -share(data.images[n], which, error) : key;
  return found.sort((a, b) => sorted(a) - sorted(b) || a - b);
}

function card(n) {
  const image = data.images[n];
  const which = model();
  const seen = picture(image, fields.layer.value, which);
  near.observe(seen);
  const scores = data.models.map((name, who) => `${name} ${image.kept[who] ? number(image.iu[who]) : "not kept"}`).join(", ");
  const gap = image.gain == null ? [] // a comparison has it: how much better B is
    : [make("span", { className: "gap" }, ` B ${image.gain < 0 ? "−" : "+"}${number(Math.abs(image.gain))}`)];
  const button = make("button", { type: "button", dataset: { image: n } }, seen, make("b", {}, image.id), ` ${scores}`, ...gap);
  return make("li", {}, button);
}

// Thirty cards at a time, so that no frame waits: more where the reader comes to their end.
function more() {
  const there = $("#cards").childElementCount;
  $("#cards").append(...shown.slice(there, there + 30).map(card));
}

function fill() {
  shown = wanted();
  near.disconnect();
  $("#cards").replaceChildren();
  more();
  const error = fields.error.value && pair(...fields.error.value.split(" "));
  $("#count").textContent = `${shown.length} of ${data.images.length} images${error ? `, ${error} by ${data.models[model()]}` : ""}.`;
}

function errors() {
  const which = model();
  const totals = new Map();
  for (const image of data.images) {
    for (const [i, j, share] of image.errors[which]) totals.set(`${i} ${j}`, (totals.get(`${i} ${j}`) ?? 0) + share);
  }
  const kept = fields.error.value;
  const largest = [...totals].sort((a, b) => b[1] - a[1]).slice(0, LARGEST).map(([key]) => key);
  if (kept && !largest.includes(kept)) largest.push(kept);
  const options = largest.map((key) => make("option", { value: key }, pair(...key.split(" "))));
  fields.error.replaceChildren(make("option", { value: "" }, "all"), ...options);
  fields.error.value = kept;
}

// Which images have this confusion: from a cell of a matrix.
function examples(which, i, j) {
  form.reset();
  setTimeout(() => { // the fields are empty then
    fields.model.value = which;
    fields.layer.value = "wrong";
    const error = `${i} ${j}`;
    if (i === j) {
      fields.class.value = i;
      fields.order.value = "best";
    } else if (![...fields.error.options].some((each) => each.value === error)) {
      fields.error.append(make("option", { value: error }, pair(i, j)));
    }
    fields.error.value = i === j ? "" : error;
    errors();
    fill();
    $("#gallery").scrollIntoView();
    ($("#cards button") ?? fields.model).focus({ preventScroll: true });
  });
}

// The picture on its own.
function draw(turned) {
  const image = data.images[shown[at]];
  const which = model();
  const name = view.wrong ? "wrong" : view.truth ? "truth" : "prediction";
  if (turned || !$(".picture", viewer)) {
    const seen = picture(image, name, which);
    seen.load();
    $(".stage", viewer).replaceChildren(seen);
  }
  const seen = $(".picture", viewer);
  seen.show(name, which);
  seen.style.width = `${100 * zoom}%`;
  $("#viewed").textContent = `${image.id}: ${{ wrong: "errors of ", truth: "truth, ", prediction: "" }[name]}${data.models[which]}`;
  for (const key of ["truth", "wrong"]) $(`[data-do=${key}]`, viewer).setAttribute("aria-pressed", view[key]);
  $("[data-do=flicker]", viewer).setAttribute("aria-pressed", timer != null);
  if (timer != null && !turned) return; // what is read aloud stays
  const classes = [...new Set(image.ius.flat().map(([c]) => c))];
  const row = (c) => make("tr", {}, make("th", { scope: "row" }, data.classes[c]),
    ...data.models.map((_, who) => make("td", {}, number(classIU(image, who, c)))));
  const head = make("tr", {}, make("th", { scope: "col" }, "IU"), ...data.models.map((each) => make("th", { scope: "col" }, each)));
  const list = image.errors[which].map(([i, j, share]) => make("li", {}, `${percent(share)}: ${pair(i, j)}`));
  $(".facts", viewer).replaceChildren(
    make("p", {}, `${image.size.join(" × ")} pixels, ${at + 1} of ${shown.length}. ${inWords(image, "truth", 0)}`),
    make("table", {}, head, ...classes.map(row)),
    make("p", {}, list.length ? `Errors of ${data.models[which]}, of all pixels:` : `${data.models[which]}: no error, or not kept.`),
    make("ul", {}, ...list),
  );
}

function still() {
  clearInterval(timer);
  timer = null;
}

const actions = {
  back: () => { at = Math.max(0, at - 1); draw(true); },
  next: () => { at = Math.min(shown.length - 1, at + 1); draw(true); },
  truth: () => { still(); view = { truth: !view.truth, wrong: false }; draw(); },
  wrong: () => { still(); view = { truth: false, wrong: !view.wrong }; draw(); },
  flicker: () => {
    if (timer != null) { still(); draw(); return; }
    view.wrong = false;
    timer = setInterval(() => { view.truth = !view.truth; draw(); }, 500); // twice a second: below what can do harm
    draw();
  },
  model: () => { fields.model.value = (model() + 1) % data.models.length; errors(); draw(); },
  in: () => { zoom = Math.min(8, zoom * 1.5); draw(); },
  out: () => { zoom = Math.max(1, zoom / 1.5); draw(); },
  close: () => viewer.close(),
};
const keys = { t: "truth", f: "flicker", e: "wrong", m: "model", "+": "in", "=": "in", "-": "out", ArrowLeft: "back", ArrowRight: "next" };

// The arrows move between the cells of a matrix, Enter shows examples.
function matrix(table, which) {
  const names = $$("thead th", table).slice(1).map((each) => data.classes.indexOf(each.textContent));
  const rows = $$("tbody tr", table).map((row) => $$("td", row));
  rows.forEach((row, i) => row.forEach((cell, j) => {
    const label = `${data.classes[names[i]]} as ${data.classes[names[j]]}: ${cell.textContent} percent, show examples`;
    const button = make("button", { type: "button", tabIndex: i + j ? -1 : 0, ariaLabel: label, title: label }, cell.textContent);
    button.addEventListener("click", () => examples(which, names[i], names[j]));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      const target = step && rows[i + step[0]]?.[j + step[1]];
      if (!target) return;
      event.preventDefault();
      button.tabIndex = -1;
      $("button", target).tabIndex = 0;
      $("button", target).focus();
    });
    cell.replaceChildren(button);
  }));
}

// A matrix of many classes is a picture: a click, or the two fields below it, show examples.
function heat(image) {
  const which = Number(image.dataset.model);
  const choice = $(`.pair[data-model="${which}"]`);
  const fields = [choice.elements.truth, choice.elements.prediction];
  for (const field of fields) field.append(...data.classes.map((name, n) => make("option", { value: n }, name)));
  const cell = (event) => {
    const box = image.getBoundingClientRect();
    const at = (place, length) => Math.min(data.classes.length - 1, Math.max(0, Math.floor((data.classes.length * place) / length)));
    return [at(event.clientY - box.top, box.height), at(event.clientX - box.left, box.width)];
  };
  image.addEventListener("mousemove", (event) => { image.title = pair(...cell(event)); });
  image.addEventListener("click", (event) => {
    cell(event).forEach((value, n) => { fields[n].value = value; });
    examples(which, ...cell(event));
  });
  choice.addEventListener("submit", (event) => {
    event.preventDefault();
    examples(which, ...fields.map((field) => Number(field.value)));
  });
  choice.hidden = false;
}

function sortClasses(key) {
  const body = $(".bars tbody");
  const rows = [...body.rows];
  const value = (row) => Number(row.dataset[`m${key}`] || -1);
  rows.sort((a, b) => (key === "name" ? a.cells[0].textContent.localeCompare(b.cells[0].textContent) : value(b) - value(a)));
  body.replaceChildren(...rows);
}

// MLflow and Prefect of this folder, if they run: `flows.ui` leaves their addresses, and each is asked whether it answers.
function links() {
  const { live, profile, times } = document.body.dataset;
  if (location.protocol !== "file:" || !live) return;
  const told = make("script", { src: times });
  told.addEventListener("load", () => { $("#times").innerHTML = window.fcnTimes; });
  document.head.append(told);
  const script = make("script", { src: live });
  const link = (href, text, of = "") => make("a", { href, target: "_blank", rel: "noopener", ariaLabel: `${text}${of}` }, text);
  script.addEventListener("load", () => Object.entries(window.fcnPages ?? {}).forEach(async ([key, address]) => {
    const filters = { // of a model's runs
      Prefect: (model) => `flow-run-search=${model}`,
      MLflow: (model) => `searchFilter=${encodeURIComponent(`tags.variant = '${model}'`)}`,
    };
    const name = key === `fcn-${profile}` ? "MLflow" : key;
    if (!/^http:\/\/127\.0\.0\.1:\d+\//.test(address) || !filters[name]) return;
    try {
      await fetch(address, { mode: "no-cors" });
    } catch {
      return;
    }
    $("nav").append(link(address, name));
    for (const row of $$("[data-run]")) {
      row.append(" ", link(`${address}?${filters[name](row.dataset.run)}`, name, `: runs of ${row.dataset.run}`));
    }
  }));
  document.head.append(script);
}

function start() {
  const option = (text, value) => make("option", { value }, text);
  fields.model.append(...data.models.map(option));
  const last = data.models.length - 1;
  fields.model.options[last].defaultSelected = true;
  const orders = [["worst first", "worst"], ["best first", "best"], ["as in the list", "list"]];
  data.models.forEach((name, n) => two && orders.push([`largest gain over ${name}`, `gain ${n}`], [`largest loss to ${name}`, `loss ${n}`]));
  fields.order.append(...orders.map(([text, value]) => option(text, value)));
  const first = fields.order.options[orders.findIndex(([, value]) => value === document.body.dataset.order)];
  if (first) first.defaultSelected = true;
  form.reset();
  fields.class.append(...data.classes.map(option));
  const shownColours = data.classes.map((name, n) => [name, n]).slice(data.clear ? 1 : 0).concat([["void", data.classes.length]]);
  $("#colours").append(...shownColours.map(([name, n]) => {
    const spot = make("i");
    spot.style.background = data.colours[n];
    return make("li", {}, spot, name);
  }));
  const wrong = make("i", { className: "wrong" });
  $("#colours").append(make("li", {}, wrong, "wrong"));
  form.addEventListener("input", (event) => {
    if (event.target.name === "opacity") {
      document.documentElement.style.setProperty("--opacity", fields.opacity.value);
      return;
    }
    if (event.target.name === "model") errors();
    fill();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    document.documentElement.style.setProperty("--opacity", fields.opacity.value);
    errors();
    fill();
  }));
  $("#cards").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    at = shown.indexOf(Number(button.dataset.image));
    view = { truth: false, wrong: fields.layer.value === "wrong" };
    zoom = 1;
    viewer.showModal();
    draw(true);
  });
  viewer.addEventListener("close", () => {
    const last = shown[at];
    still();
    fill();
    $(`[data-image="${last}"]`)?.focus();
  });
  viewer.addEventListener("click", (event) => actions[event.target.dataset.do]?.());
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    if (event.key.startsWith("Arrow") && zoom > 1) return; // scrolls
    event.preventDefault();
    actions[keys[event.key]]();
  });
  $$(".heat").forEach(heat);
  $$(".matrix[data-model]").forEach((table) => matrix(table, Number(table.dataset.model)));
  $$("[data-confused]").forEach((button) => {
    const [which, truth, prediction] = JSON.parse(button.dataset.confused);
    button.addEventListener("click", () => examples(which, data.classes.indexOf(truth), data.classes.indexOf(prediction)));
  });
  $("#sorting")?.addEventListener("input", (event) => sortClasses(event.target.value));
  $("#scheme")?.addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (getComputedStyle(document.documentElement).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.style.colorScheme = dark ? "light" : "dark";
  });
  addEventListener("beforeprint", () => $$("#cards .picture").slice(0, 12).forEach((each) => each.load()));
  $("#gallery").hidden = false;
  errors();
  fill();
  const end = new IntersectionObserver((entries) => {
    if (!entries.at(-1).isIntersecting || $("#cards").childElementCount >= shown.length) return;
    more();
    end.unobserve($("#end"));
    end.observe($("#end")); // it may still be near
  }, { rootMargin: "1500px" });
  end.observe($("#end"));
  links();
}

addEventListener("DOMContentLoaded", start); // what comes below the gallery is there then
