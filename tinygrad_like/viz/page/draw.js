// The picture: drawn where the layout says, panned and zoomed.

const SVG = $("graph").namespaceURI;
const view = { x: 0, y: 0, scale: 1 };
const picture = { items: new Map(), arrows: [], frames: [], width: 0, height: 0 };
const screen = { width: 0, height: 0 }; // of the graph; to ask for it makes the browser lay out at once
new ResizeObserver(([entry]) => Object.assign(screen, { width: entry.contentRect.width, height: entry.contentRect.height })).observe($("graph"));
Object.assign(screen, { width: $("graph").clientWidth, height: $("graph").clientHeight });
const choice = { key: null, active: null }; // what is chosen; what the keyboard stands on
let sideways = false;

/** Make an SVG element. */
function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const ruler = document.createElement("canvas").getContext("2d");
function width(text, font) {
  ruler.font = `${font} system-ui, "Segoe UI", Helvetica, Arial, sans-serif`;
  return ruler.measureText(text).width;
}

function cut(text, most = 34) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** The rows of text in an item; the last is left free for the gradient. */
function rowsOf(item) {
  if (item.group) {
    return { name: cut(`▸ ${item.group.title}`), side: "", value: item.group.about ? cut(item.group.about, 44) : contents(item.group), room: "backward 999 of 999", grad: true };
  }
  const { box } = item;
  const [result] = box.results;
  const grads = box.results.some((r) => r.grad);
  const inModule = box.frame !== null && around(box).some((id) => frames[id].kind === "module");
  const name = cut(inModule && !box.called ? bare(box.name) : titled(box));
  const number = named(box);
  // An operation's shape stands at the arrows that lead from it.
  const shape = number || (box.users.length && !box.output && box.kind === "operation") ? "" : box.results.length > 1 ? `${box.results.length} results` : sizes(result.shape);
  const value = number ? "" : box.results.length > 1 ? "" : inWords(result.value) || "value not kept";
  const arrivals = box.results.length > 1 ? [] : result.arrivals || [];
  const texts = arrivals.flatMap((_, i) => [gradientRow(arrivals, i + 1, false), gradientRow(arrivals, i + 1, true)]);
  const room = texts.reduce((most, text) => (text.length > most.length ? text : most), grads ? (box.results.length > 1 ? "grad of 99 of 99 results" : "gradient 0") : "");
  return { name, side: shape, value: [value, item.more && `${item.more} more uses`].filter(Boolean).join(" · "), room, grad: grads };
}

/** Measure, place and draw everything that is to be seen. */
function redraw() {
  Object.assign(picture, visible());
  for (const item of picture.items.values()) {
    const rows = (item.rows = rowsOf(item));
    const side = rows.side ? width(rows.side, "11px") + 14 : 0;
    item.width = even(Math.max(36, width(rows.name, "600 12px") + side, width(rows.value, "11px"), width(rows.room, "600 11px")) + 22);
    item.height = 26 + (rows.value ? 16 : 0) + (rows.grad ? 16 : 0);
  }
  for (const arrow of picture.arrows) arrow.label = passes(arrow);
  layOut(picture);
  paint();
  move();
}

/** The shapes of what goes along an arrow, unless the box that it comes from says them. */
function passes(arrow) {
  const source = picture.items.get(arrow.from).box;
  if (source && source.kind !== "operation") return "";
  const results = new Map(arrow.pairs.map(([id, index]) => [`${id} ${index}`, boxes[id].results[index].shape]));
  const shapes = new Set([...results.values()].filter((shape) => shape.length || !source).map(sizes));
  return shapes.size > 2 ? `${shapes.size} shapes` : [...shapes].join(", ");
}

/** Where an item stands on the screen. */
function place(key) {
  const item = picture.items.get(key);
  return { x: item.x * view.scale + view.x, y: item.y * view.scale + view.y };
}

/** A smooth line through points: it leaves and enters each along the way down, and turns about corners. */
function curve(points) {
  const at = ({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  let path = `M${at(points[0])}`;
  for (let i = 1; i < points.length; i += 1) {
    const from = points[i - 1], to = points[i];
    if (to.corner) path += `Q${at(to)} ${at(points[(i += 1)])}`;
    else if (Math.abs(from.x - to.x) < 0.5 || Math.abs(from.y - to.y) < 0.5) path += `L${at(to)}`;
    else if (sideways) path += `C${at({ x: (from.x + to.x) / 2, y: from.y })} ${at({ x: (from.x + to.x) / 2, y: to.y })} ${at(to)}`;
    else path += `C${at({ x: from.x, y: (from.y + to.y) / 2 })} ${at({ x: to.x, y: (from.y + to.y) / 2 })} ${at(to)}`;
  }
  return path;
}

/** The point half the way along points. */
function middle(points) {
  const lengths = points.slice(1).map((point, i) => Math.hypot(point.x - points[i].x, point.y - points[i].y));
  let left = lengths.reduce((sum, length) => sum + length, 0) / 2;
  const i = lengths.findIndex((length) => (left -= length) <= 0);
  const part = 1 + left / (lengths[i] || 1);
  return { x: points[i].x + part * (points[i + 1].x - points[i].x), y: points[i].y + part * (points[i + 1].y - points[i].y) };
}

function paint() {
  const root = $("view");
  root.replaceChildren();
  const painted = picture.frames.map(paintFrame);
  root.append(...painted.map(([area]) => area));
  for (const arrow of picture.arrows) {
    arrow.element = svg("path", { class: "edge", d: curve(arrow.points), "aria-hidden": "true" });
    root.append(arrow.element);
  }
  for (const label of picture.labels) {
    label.element = Object.assign(svg("text", { class: "shape", x: label.x, y: label.y + 3.5, "aria-hidden": "true" }), { textContent: label.text });
    root.append(label.element);
  }
  root.append(...painted.map(([, handle]) => handle)); // above the arrows
  // In the order of the clock, which is the order in which a screen reader comes upon them.
  for (const item of picture.items.values()) root.append(paintItem(item));
  if (!picture.items.has(choice.active) && !isFrame(choice.active)) choice.active = picture.items.keys().next().value;
  $("graph").setAttribute("aria-label", `Graph: ${counted(boxes.length, "node")}, ${counted(picture.items.size, "box").replace("boxs", "boxes")} to be seen`);
  rove();
  showStep();
}

function isFrame(key) {
  return key !== null && key[0] === "o" && picture.frames.some((frame) => `o${frame.id}` === key);
}

function paintFrame(frame) {
  const { x, y, width: w, height: h } = frame.at;
  const title = cut(`▾ ${frame.title}`, 44);
  const handle = svg("g", { class: "handle", role: "button", tabindex: "-1", "aria-expanded": "true", "aria-label": `${inWordsOf(frame)}, open; Enter folds it`, "data-key": `o${frame.id}` },
    svg("rect", { x: x - w / 2 + 2, y: y - h / 2 + 2, width: width(title, "11px") + 10, height: 17, rx: 4 }),
    Object.assign(svg("text", { x: x - w / 2 + 7, y: y - h / 2 + 14 }), { textContent: title }));
  return [svg("rect", { class: `area ${frame.kind}`, x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 8 }), handle];
}

function paintItem(item) {
  const { rows, width: w, height: h } = item;
  const kind = item.group ? "group" : item.box.kind;
  const round = kind === "operation" ? 13 : kind === "group" ? 6 : 3;
  item.kind = `item ${kind}${item.box?.output ? " output" : ""}`;
  const element = svg("g", {
    role: "button", tabindex: "-1", "data-key": item.key,
    transform: `translate(${(item.x - w / 2).toFixed(1)} ${(item.y - h / 2).toFixed(1)})`,
  });
  if (item.group) {
    element.setAttribute("aria-expanded", "false");
    element.append(svg("rect", { class: "behind", x: 4, y: 4, width: w, height: h, rx: round })); // a pile
  }
  const text = (name, content, x, y, anchor = "start") =>
    Object.assign(svg("text", { class: name, x, y, "text-anchor": anchor }), { textContent: content });
  element.append(
    svg("rect", { class: "body", width: w, height: h, rx: round }),
    svg("rect", { class: "ring", x: -4, y: -4, width: w + 8, height: h + 8, rx: round + 3 }),
    rows.value || rows.side ? text("name", rows.name, 11, 18) : text("name", rows.name, w / 2, 18, "middle"));
  if (rows.side) element.append(text("faint", rows.side, w - 11, 18, "end"));
  if (rows.value) element.append(text("value", rows.value, 11, 34));
  if (rows.grad) element.append((item.grad = text("grad", "", 11, rows.value ? 50 : 34)));
  item.element = element;
  return element;
}

// ----- Panning and zooming --------------------------------------------------------------------------

function move() {
  $("view").setAttribute("transform", `translate(${view.x.toFixed(2)} ${view.y.toFixed(2)}) scale(${view.scale.toFixed(4)})`);
}

function zoom(factor, x, y) {
  x ??= screen.width / 2;
  y ??= screen.height / 2;
  const scale = Math.min(4, Math.max(0.03, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  move();
}

/** Show all, or the beginning if all would be too small to read. */
function fit(least = 0) {
  const scale = Math.min(1.4, screen.width / picture.width, screen.height / picture.height);
  view.scale = scale < 0.8 * least ? least : scale;
  const early = (item) => Math.min(...(item.group ? item.group.all : [item.box]).map((box) => (box.computed < 0 ? Infinity : box.computed)));
  const first = [...picture.items.values()].sort((a, b) => early(a) - early(b))[0];
  const from = (size, room, at) => (size < room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - at)));
  view.x = from(picture.width * view.scale, screen.width, first.x * view.scale);
  view.y = from(picture.height * view.scale, screen.height, first.y * view.scale);
  move();
}

/** Move the picture, as little as will do, so that an item can be seen. */
function reveal(key) {
  const item = picture.items.get(key);
  if (!item) return;
  const at = place(key);
  const away = (where, half, room) => {
    const least = half + 12, most = room - half - 12;
    const moved = where < least ? least - where : where > most ? most - where : 0;
    return Math.abs(moved) > room / 3 ? room / 2 - where : moved;
  };
  view.x += away(at.x, (item.width * view.scale) / 2, screen.width);
  view.y += away(at.y, (item.height * view.scale) / 2, screen.height);
  move();
}

/** Make one element of the graph the one that Tab reaches. */
function rove() {
  for (const element of $("view").querySelectorAll("[data-key]")) {
    element.setAttribute("tabindex", element.dataset.key === choice.active ? "0" : "-1");
  }
}

function focusOn(key) {
  choice.active = key;
  rove();
  $("view").querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
  reveal(key);
}
