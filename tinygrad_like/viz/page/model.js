// The graph as the page knows it: boxes, frames around them, which frames are open, and what is
// therefore to be seen.

const $ = (id) => document.getElementById(id);

/** Unpack the data: it is gzipped, since numbers as text would fill the file. */
async function unpacked() {
  const bytes = Uint8Array.from(atob($("data").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

const data = await unpacked();
const { boxes, frames, steps } = data;
const firstBackward = steps.findIndex((step) => step.do === "start");

const AT_ONCE = 120; // boxes that are shown without folding anything
const SEEN = 45; // what is opened at first of a larger graph
const USES = 6; // arrows from one leaf; a fan of more would hide the rest

boxes.forEach((box, id) => { box.id = id; box.users = []; box.computed = -1; box.turn = Infinity; });
frames.forEach((frame, id) => { frame.id = id; frame.boxes = []; frame.frames = []; });
for (const box of boxes) {
  if (box.frame !== null) frames[box.frame].boxes.push(box);
  for (const [id] of box.operands) if (!boxes[id].users.includes(box.id)) boxes[id].users.push(box.id);
}
for (const frame of frames) if (frame.parent !== null) frames[frame.parent].frames.push(frame);
steps.forEach((step, number) => {
  if (step.do === "compute") boxes[step.box].computed = number;
  else if (step.box !== undefined) boxes[step.box].turn = number;
});

const open = new Set();

/** Ids of the frames around a box or a frame, outermost first. */
function around(thing) {
  const path = [];
  for (let id = thing.name !== undefined ? thing.frame : thing.parent; id !== null; id = frames[id].parent) path.unshift(id);
  return path;
}

/** All boxes inside a frame. */
function inside(frame) {
  return [...frame.boxes, ...frame.frames.flatMap(inside)];
}
for (const frame of frames) {
  frame.all = inside(frame);
  frame.start = Math.min(...frame.all.map((box) => box.computed)); // the first step that is in it
}

/** The key of what stands for a box now: the outermost folded frame around it, or itself. */
function seenAs(box) {
  const folded = around(box).find((id) => !open.has(id));
  return folded === undefined ? `b${box.id}` : `f${folded}`;
}

/** What is to be drawn: items (boxes and folded frames), open frames, and arrows between items. */
function visible() {
  const items = new Map();
  const where = boxes.map((box) => {
    const key = seenAs(box);
    if (!items.has(key)) {
      items.set(key, key[0] === "b"
        ? { key, box, frame: box.frame }
        : { key, group: frames[key.slice(1)], frame: frames[key.slice(1)].parent });
    }
    return key;
  });
  const arrows = new Map();
  for (const box of boxes) {
    for (const [id, index] of box.operands) {
      const from = where[id], to = where[box.id];
      if (from === to) continue;
      const name = `${from} ${to}`;
      if (!arrows.has(name)) arrows.set(name, { from, to, pairs: [] });
      arrows.get(name).pairs.push([id, index, box.id]);
    }
  }
  // A leaf that is used everywhere gets an arrow to its first use only, and says how many more.
  const uses = new Map();
  for (const arrow of arrows.values()) {
    const box = items.get(arrow.from).box;
    if (box && box.operands.length === 0) {
      if (!uses.has(arrow.from)) uses.set(arrow.from, []);
      uses.get(arrow.from).push(arrow);
    }
  }
  for (const [key, fan] of uses) {
    if (fan.length <= USES) continue;
    items.get(key).more = fan.length - 1;
    for (const arrow of fan.slice(1)) arrows.delete(`${arrow.from} ${arrow.to}`);
  }
  return { items, arrows: [...arrows.values()], frames: frames.filter((frame) => open.has(frame.id) && around(frame).every((id) => open.has(id))) };
}

/** Open what can be taken in at once, outer frames first. */
function openAtFirst() {
  if (boxes.length <= AT_ONCE) {
    for (const frame of frames) open.add(frame.id);
    return;
  }
  // A level is opened as a whole or not at all, so that like modules look alike.
  let seen = new Set(boxes.map(seenAs)).size;
  let level = frames.filter((frame) => frame.parent === null);
  while (level.length) {
    seen += level.reduce((sum, frame) => sum - 1 + frame.boxes.length + frame.frames.length, 0);
    if (seen > SEEN) return;
    level.forEach((frame) => open.add(frame.id));
    level = level.flatMap((frame) => frame.frames);
  }
}

// ----- Words ----------------------------------------------------------------------------------------

/** A number with few figures; what is no number, "nan" or a large integer, as it is. */
function digits(value, figures = 4) {
  if (typeof value !== "number") return exact(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return exact(value);
  const text = Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(figures)));
  return text.replace(/-/g, "−");
}

/** A number with all the figures that tell it from others of its dtype. */
function exact(value) {
  return (Object.is(value, -0) ? "-0" : String(value)).replace(/-/g, "−");
}

/** The numbers themselves if there are at most `most`, else nothing. */
function inFull(found, most = 3) {
  if (!found?.values?.length || found.values.length > most) return "";
  const text = found.values.map((value) => digits(value)).join(", ");
  return found.values.length === 1 ? text : `[${text}]`;
}

/** A value in a few words: its numbers if there are at most `most`, else statistics. */
function inWords(found, most = 3) {
  if (!found) return "";
  const words = [found.mean !== undefined && `mean ${digits(found.mean, 3)} ± ${digits(found.std, 3)}`, found.nan && `${found.nan} nan`, found.inf && `${found.inf} inf`];
  const strange = found.nan || found.inf || found.values?.some((value) => ["nan", "inf", "-inf"].includes(value));
  return (strange ? "\u26a0\ufe0e " : "") + (inFull(found, most) || words.filter(Boolean).join(", ") || "empty");
}

const sizes = (shape) => (!shape ? "" : shape.length === 1 ? `(${shape[0]},)` : shape.join(" × ") || "scalar");
const bare = (name) => name.slice(name.lastIndexOf(".") + 1);
const called = (box) => box.called || box.name;
const titled = (box) => (box.called ? `${box.name} → ${box.called}` : box.name);

/** Whether a box is called by its value, as numbers are. */
const named = (box) => box.kind === "constant" && !box.results[0].dtype && box.results[0].value !== null;

/** A name that tells a box from others of its name. */
function told(box) {
  return box.kind === "operation" && !box.called ? `${box.name} (step ${box.computed + 1})` : called(box);
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** A frame, named with what it is. */
const inWordsOf = (frame) => (frame.kind === "module" ? `Module ${frame.title}` : frame.title);

/** How a folded frame is made up. */
function contents(frame) {
  const operations = frame.all.filter((box) => box.kind === "operation").length;
  const parameters = frame.all.filter((box) => box.kind === "parameter").length;
  return counted(operations, "operation") + (parameters ? `, ${counted(parameters, "parameter")}` : "");
}
