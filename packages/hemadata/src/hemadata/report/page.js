"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id), all = data.records, FIRST = 24, STEP = 48, NONE = "\u0000none";
const words = (label) => label === null ? "not labelled" : data.names[label] || label.replaceAll("_", " ");
const SPLITS = ["train", "validation", "test", "excluded"];
let shown = all, drawn = 0, open = -1;

function make(tag, css, text) { const node = document.createElement(tag); if (css) node.className = css; if (text !== undefined) node.textContent = text; return node; }
function svg(tag, attributes) { const node = document.createElementNS("http://www.w3.org/2000/svg", tag); for (const key in attributes) node.setAttribute(key, attributes[key]); return node; }

const places = new Map();  // label -> colour: the same on all pictures
for (const record of all) for (const box of record.b || []) if (!places.has(box[4])) places.set(box[4], "b" + places.size % 8);

function frame(record, width, height) {
  const scale = Math.min(width / record.w, height / record.h), node = make("span", "frame");
  node.style.width = record.w * scale + "px"; node.style.height = record.h * scale + "px";
  const image = make("img"); image.src = "data:image/webp;base64," + record.i; image.alt = record.c.map(words).join(", "); image.decoding = "async"; node.append(image);
  if (record.m) { const mask = make("img", "mask"); mask.src = "data:image/png;base64," + record.m; mask.alt = ""; node.append(mask); }
  if (record.b) {
    const over = svg("svg", { viewBox: `0 0 ${record.w} ${record.h}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const [x, y, w, h, label, said] of record.b) {
      const box = svg("rect", { x, y, width: w, height: h, class: places.get(label) }), tip = svg("title", {});
      tip.textContent = words(label) + (said ? ": " + said : ""); box.append(tip); over.append(box);
    }
    node.append(over);
  }
  return node;
}

function tile(record, at) {
  const node = make("button", "shot"); node.type = "button"; node.dataset.at = at; node.title = record.id;
  node.append(frame(record, 140, 120), make("b", "", record.c.map(words).join(", ")), make("span", "name", record.id), make("span", "soft", record.p));
  return node;
}

function more() {
  const batch = document.createDocumentFragment();
  for (const end = Math.min(drawn + (drawn ? STEP : FIRST), shown.length); drawn < end; drawn++) batch.append(tile(shown[drawn], drawn));
  find("grid").append(batch);
  find("more").hidden = drawn >= shown.length;
}

function filter() {
  const source = find("source").value, label = find("class").value, split = find("split").value, text = find("text").value.trim().toLowerCase();
  shown = all.filter((r) => (!source || r.s === source) && (!split || r.p === split) && (!label || r.c.includes(label === NONE ? null : label)) &&
    (!text || r.id.toLowerCase().includes(text) || r.f.toLowerCase().includes(text)));
  find("grid").replaceChildren(); drawn = 0; more();
  find("count").textContent = `${shown.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} pictures`;
}

function choices(id, entries) { for (const [value, text, count] of entries) { const node = make("option", "", `${text} (${count})`); node.value = value; find(id).append(node); } }
function tally(keys) { const counts = new Map(); for (const record of all) for (const key of keys(record)) counts.set(key, (counts.get(key) || 0) + 1); return counts; }

function term(list, name, value) { if (value === undefined || value === null || value === "") return; list.append(make("dt", "", name), make("dd", "", value)); }
function lines(node, title, entries) { if (!entries || !entries.length) return; node.append(make("h4", "", title)); const list = make("ul"); for (const entry of entries) list.append(make("li", "", entry)); node.append(list); }

function look(at) {
  if (at < 0 || at >= shown.length) return;
  open = at;
  const record = shown[at], facts = make("div"), list = make("dl");
  find("title").textContent = record.id;
  term(list, "source", record.s); term(list, "task", record.t); term(list, "split in force", record.p);
  if (record.l) term(list, "label", words(record.l) + (record.n ? `, more exactly ${words(record.n)}` : ""));
  term(list, "label as published", record.r); term(list, "size", `${record.w} × ${record.h} pixels`); term(list, "file", record.f);
  for (const [name, value] of record.a || []) term(list, name.replaceAll("_", " "), value === null ? "not given" : value.replaceAll("_", " "));
  facts.append(list);
  if (record.b) {
    const counts = new Map(); for (const box of record.b) counts.set(box[4], (counts.get(box[4]) || 0) + 1);
    facts.append(make("h4", "", record.o ? `First ${record.b.length} of ${record.o} objects` : `Objects: ${record.b.length}`));
    for (const [label, count] of counts) { const line = make("div"); line.append(make("span", "chip " + places.get(label)), `${words(label)}: ${count}`); facts.append(line); }
  }
  if (record.g) {
    facts.append(make("h4", "", "Mask"));
    for (const region of record.g) { const line = make("div"), chip = make("span", "chip"); chip.style.background = data.regions[region]; line.append(chip, words(region)); facts.append(line); }
  }
  lines(facts, "Questions", (record.q || []).map(([question, answer]) => `${question} — ${answer}`)); lines(facts, "Masked sentences", record.x);
  facts.append(make("h4", "", "Full picture"), make("code", "", `hemadata view CORPUS '${record.id.replaceAll("'", "'\\''")}'`));
  const wide = Math.min(640, innerWidth - 80), body = make("div", "big"), left = make("div"); left.append(frame(record, wide, Math.min(600, innerHeight - 160))); body.append(left, facts);
  find("body").replaceChildren(body);
  if (!find("view").open) find("view").showModal();
}

choices("source", [...tally((r) => [r.s])].sort());
const labels = tally((r) => r.c);
choices("class", [...labels].map(([label, n]) => [label === null ? NONE : label, words(label), n]).sort((a, b) => a[1].localeCompare(b[1])));
choices("split", SPLITS.map((name) => [name, tally((r) => [r.p]).get(name)]).filter((e) => e[1]).map(([name, n]) => [name, name, n]));
for (const id of ["source", "class", "split"]) find(id).addEventListener("change", filter);
find("text").addEventListener("input", filter);
find("more").addEventListener("click", more);
find("grid").addEventListener("click", (event) => { const node = event.target.closest(".shot"); if (node) look(+node.dataset.at); });
find("grid").addEventListener("keydown", (event) => {
  const to = { ArrowRight: 1, ArrowLeft: -1 }[event.key], node = event.target.closest(".shot");
  if (to && node) { const next = find("grid").children[+node.dataset.at + to]; if (next) { next.focus(); event.preventDefault(); } }
});
find("view").addEventListener("keydown", (event) => { const to = { ArrowRight: 1, ArrowLeft: -1 }[event.key]; if (to) { look(open + to); event.preventDefault(); } });
find("view").addEventListener("close", () => { const node = find("grid").children[open]; if (node) node.focus(); });
find("view").addEventListener("click", (event) => { if (event.target === find("view")) find("view").close(); });
find("back").addEventListener("click", () => look(open - 1)); find("next").addEventListener("click", () => look(open + 1)); find("close").addEventListener("click", () => find("view").close());
function reveal() { const sheet = location.hash.startsWith("#source-") && find(decodeURIComponent(location.hash.slice(1))); if (sheet) { sheet.open = true; sheet.scrollIntoView(); } }
addEventListener("hashchange", reveal); reveal();
const unfold = find("unfold");
if (unfold) unfold.addEventListener("click", () => { for (const sheet of document.querySelectorAll("details.sheet")) sheet.open = true; });
for (const what of ["boxes", "masks"]) find(what).addEventListener("change", (event) => document.body.classList.toggle("no" + what, !event.target.checked));
if (window.IntersectionObserver) new IntersectionObserver((seen) => { if (seen[0].isIntersecting) more(); }, { rootMargin: "400px" }).observe(find("more"));
// The figures are painted first, the pictures after them.
requestAnimationFrame(() => setTimeout(() => { filter(); document.documentElement.dataset.ready = "yes"; }));
