// What the user does: choosing, folding, searching, and the keys.

/** Show a box's details; whatever is folded around it is opened. */
function choose(box, { focus = true } = {}) {
  const closed = around(box).filter((id) => !open.has(id));
  closed.forEach((id) => open.add(id));
  choice.key = `b${box.id}`;
  choice.active = choice.key;
  if (closed.length) redraw();
  else showStep();
  rove();
  reveal(choice.key);
  if (focus) focusOn(choice.key);
  showPanel();
}

/** Open or fold a frame, which stays where it is on the screen. */
function toggle(frame, opened) {
  const key = `f${frame.id}`;
  const before = opened && picture.items.has(key) ? place(key) : null;
  if (opened) open.add(frame.id);
  else open.delete(frame.id);
  choice.key = key;
  choice.active = opened ? `o${frame.id}` : key;
  redraw();
  if (before && frame.at) {
    view.x += before.x - (frame.at.x * view.scale + view.x);
    view.y += before.y - ((frame.at.y - frame.at.height / 2) * view.scale + view.y) - 20;
    move();
  }
  focusOn(choice.active);
  showPanel();
}

function foldAround(box) {
  const innermost = around(box).filter((id) => open.has(id)).pop();
  if (innermost !== undefined) toggle(frames[innermost], false);
}

/** Choose nothing: the details are those of each step's node. */
function release() {
  choice.key = null;
  showStep();
  showPanel();
}

/** A click or Enter on something in the graph. */
function act(key, { unfold = false } = {}) {
  if (key[0] === "o") toggle(frames[key.slice(1)], false);
  else if (key[0] === "f" && unfold) toggle(frames[key.slice(1)], true);
  else {
    choice.key = key;
    choice.active = key;
    rove();
    showStep();
    showPanel();
  }
}

const graph = $("graph");
const pointers = new Map();
let dragged = false;

graph.addEventListener("pointerdown", (event) => {
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  dragged = false;
});
window.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  const x = event.clientX - last.x, y = event.clientY - last.y;
  if (!dragged && Math.hypot(x, y) < 4) return; // a click that trembles
  dragged = true;
  graph.classList.add("dragged");
  if (pointers.size === 1) {
    view.x += x;
    view.y += y;
    move();
  } else {
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    const box = graph.getBoundingClientRect();
    const before = Math.hypot(last.x - other.x, last.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    zoom(after / (before || 1), (event.clientX + other.x) / 2 - box.x, (event.clientY + other.y) / 2 - box.y);
  }
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
});
for (const name of ["pointerup", "pointercancel"]) {
  window.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    graph.classList.remove("dragged");
  });
}
graph.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = graph.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - box.x, event.clientY - box.y);
}, { passive: false });
const keyAt = (event) => event.target.closest("[data-key]")?.dataset.key;
graph.addEventListener("click", (event) => {
  const key = keyAt(event);
  if (dragged) return;
  if (key) {
    act(key);
    focusOn(choice.active);
  } else release();
});
graph.addEventListener("dblclick", (event) => {
  const key = keyAt(event);
  if (key?.[0] === "f") act(key, { unfold: true });
});
graph.addEventListener("focusin", (event) => {
  const key = keyAt(event);
  if (key) {
    choice.active = key;
    rove();
  }
});

// ----- Keys -----------------------------------------------------------------------------------------

/** The nearest of some places in a direction. */
function nearest(from, places, along, sign) {
  const across = along === "x" ? "y" : "x";
  let best = null, least = Infinity;
  for (const place of places) {
    const ahead = sign * (place[along] - from[along]);
    if (ahead <= 1) continue;
    const far = ahead + 3 * Math.abs(place[across] - from[across]);
    if (far < least) [best, least] = [place, far];
  }
  return best;
}

/** Where an arrow key leads: along the arrows of the graph if there is one, else to a neighbour. */
function neighbour(key, direction) {
  const all = [...picture.items.values(), ...picture.frames.map((frame) => ({ key: `o${frame.id}`, x: frame.at.x, y: frame.at.y - frame.at.height / 2 }))];
  const from = all.find((item) => item.key === key);
  if (!from) return all[0];
  const [along, sign] = { ArrowUp: ["y", -1], ArrowDown: ["y", 1], ArrowLeft: ["x", -1], ArrowRight: ["x", 1] }[direction];
  if ((along === "y") !== sideways) {
    const next = picture.arrows.filter((arrow) => (sign > 0 ? arrow.from : arrow.to) === key).map((arrow) => picture.items.get(sign > 0 ? arrow.to : arrow.from));
    const straight = nearest(from, next, along, sign);
    if (straight) return straight;
  }
  return nearest(from, all, along, sign);
}

graph.addEventListener("keydown", (event) => {
  const key = choice.active;
  if (event.ctrlKey || event.metaKey || event.altKey || !key) return;
  if (event.key.startsWith("Arrow")) {
    const next = neighbour(key, event.key);
    if (next) focusOn(next.key);
  } else if (event.key === "Home" || event.key === "End") {
    const keys = [...picture.items.keys()];
    focusOn(event.key === "Home" ? keys[0] : keys[keys.length - 1]);
  } else if (event.key === "Enter" || event.key === " ") act(key, { unfold: true });
  else if (event.key === "f" || event.key === "F") {
    if (key[0] === "b") foldAround(boxes[key.slice(1)]);
    else if (key[0] === "o") toggle(frames[key.slice(1)], false);
    else if (frames[key.slice(1)].parent !== null) toggle(frames[frames[key.slice(1)].parent], false);
  } else return;
  event.preventDefault();
});

const KEYS = {
  "/": () => $("search").focus(), p: play, P: play,
  ",": () => go(player.step - 1), ".": () => go(player.step + 1),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => fit(),
  d: () => $("panel").focus(), D: () => $("panel").focus(), "?": () => $("keylist").showModal(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keylist").open) return;
  if (event.target.matches("input[type=search], select")) return;
  if (event.key === "Escape") {
    release();
    focusOn(choice.active);
  } else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

// ----- Search ---------------------------------------------------------------------------------------

const search = { found: [], at: -1 };

/** All that can be searched of a box or a frame, in one text. */
function searchable(thing) {
  if (thing.title !== undefined) return thing.title;
  const place = thing.place !== undefined ? data.places[thing.place] : null;
  return [thing.called, thing.name, thing.label, ...around(thing).map((id) => frames[id].title),
    ...thing.results.map((result) => `${result.dtype} ${sizes(result.shape)}`), place && `${place.file}:${place.line}`].filter(Boolean).join(" ");
}

function look() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [...frames, ...boxes];
  search.found = words.length ? all.filter((thing) => {
    const text = searchable(thing).toLowerCase();
    return words.every((word) => text.includes(word));
  }) : [];
  // Names that are what was typed come first.
  const begins = (thing) => [thing.title, thing.name, thing.called].some((name) => name?.toLowerCase().startsWith(words[0]));
  search.found.sort((a, b) => begins(b) - begins(a));
  const shown = search.found.slice(0, 30);
  search.at = shown.length ? 0 : -1;
  const list = $("found");
  list.replaceChildren(...shown.map((thing, i) => {
    const path = around(thing).map((id) => frames[id].title).join(" › ");
    const size = thing.title === undefined ? `${sizes(thing.results[0].shape)}` : thing.kind;
    const option = make("li", { role: "option", id: `found${i}` }, thing.title ?? (thing.called ? titled(thing) : told(thing)), make("small", {}, [size, path].filter(Boolean).join(" · ")));
    option.onclick = () => take(i);
    return option;
  }));
  if (words.length && !shown.length) list.append(make("li", { role: "option", "aria-disabled": "true" }, "nothing found"));
  else if (search.found.length > shown.length) list.append(make("li", { role: "option", "aria-disabled": "true" }, `and ${search.found.length - shown.length} more`));
  list.hidden = !words.length;
  $("search").setAttribute("aria-expanded", String(!list.hidden));
  mark();
}

function mark() {
  [...$("found").children].forEach((option, i) => option.setAttribute("aria-selected", String(i === search.at)));
  if (search.at >= 0) {
    $("search").setAttribute("aria-activedescendant", `found${search.at}`);
    $(`found${search.at}`).scrollIntoView({ block: "nearest" });
  } else $("search").removeAttribute("aria-activedescendant");
}

function hideFound() {
  $("found").hidden = true;
  $("search").setAttribute("aria-expanded", "false");
}

function take(i) {
  const thing = search.found[i];
  if (!thing) return;
  hideFound();
  if (thing.title === undefined) choose(thing);
  else {
    around(thing).forEach((id) => open.add(id));
    toggle(thing, open.has(thing.id));
    reveal(`f${thing.id}`);
  }
}

$("search").addEventListener("input", look);
$("search").addEventListener("focus", () => { if ($("search").value) look(); });
$("search").addEventListener("blur", () => setTimeout(hideFound, 150)); // a click on an option comes first
$("search").addEventListener("keydown", (event) => {
  const shown = Math.min(30, search.found.length);
  if (event.key === "ArrowDown" && shown) search.at = (search.at + 1) % shown;
  else if (event.key === "ArrowUp" && shown) search.at = (search.at + shown - 1) % shown;
  else if (event.key === "Enter") take(search.at);
  else if (event.key === "Escape") {
    hideFound();
    focusOn(choice.active);
  } else return;
  event.preventDefault();
  if (event.key.startsWith("Arrow")) mark();
});

// ----- Buttons, and the beginning -------------------------------------------------------------------

const LARGE = 3000; // boxes and frames that take seconds to lay out
$("unfold").onclick = () => {
  if (boxes.length + frames.length > LARGE && !confirm(`Laying out all ${boxes.length} nodes may take a while. Go on?`)) return;
  frames.forEach((frame) => open.add(frame.id));
  redraw();
  fit(LEGIBLE);
};
$("fold").onclick = () => {
  open.clear();
  redraw();
  fit(LEGIBLE);
};
$("turn").onclick = () => {
  sideways = !sideways;
  $("turn").setAttribute("aria-pressed", String(sideways));
  redraw();
  fit(LEGIBLE);
};
$("closer").onclick = () => zoom(1.25);
$("farther").onclick = () => zoom(0.8);
$("fit").onclick = () => fit();
$("help").onclick = () => $("keylist").showModal();
$("first").onclick = () => go(0);
$("back").onclick = () => go(player.step - 1);
$("next").onclick = () => go(player.step + 1);
$("last").onclick = () => go(steps.length);
$("play").onclick = play;
$("slider").max = steps.length;
$("slider").oninput = () => {
  pause();
  go(Number($("slider").value));
};
$("forwards").style.flex = firstBackward;
$("backwards").style.flex = steps.length - firstBackward;
$("legend").replaceWith(...lesson(), legend());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showPanel);
addEventListener("beforeprint", () => {
  $("graph").setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
  $("view").removeAttribute("transform");
});
addEventListener("afterprint", () => {
  $("graph").removeAttribute("viewBox");
  move();
});
if (!frames.length) for (const id of ["fold", "unfold"]) $(id).disabled = true;

openAtFirst();
redraw();
fit(LEGIBLE);
showPanel();
/** Go to the step that the address names: a link may lead to it, step.html#step=7. */
function follow() {
  const named = /^#step=(\d+)$/.exec(location.hash);
  if (named) go(Number(named[1]));
}
follow();
addEventListener("hashchange", follow);
document.documentElement.dataset.ready = "yes";
