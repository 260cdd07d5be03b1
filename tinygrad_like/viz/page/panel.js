// The details of what is chosen.

/** Make an HTML element; children may be elements or text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Buttons that choose other nodes. */
function links(ids) {
  const shown = ids.slice(0, 30);
  const list = make("ul", { class: "links" }, ...shown.map((id) => {
    const button = make("button", { type: "button" }, told(boxes[id]));
    button.onclick = () => choose(boxes[id]);
    return make("li", {}, button);
  }));
  if (ids.length > shown.length) list.append(make("li", { class: "faint" }, `and ${ids.length - shown.length} more`));
  return list;
}

function facts(pairs) {
  return make("dl", {}, ...pairs.filter(([, value]) => value !== null && value !== "").flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function jump(number) {
  const button = make("button", { type: "button" }, `step ${number + 1}`);
  button.onclick = () => go(number + 1);
  return button;
}

/** Show the details of what is chosen, else of the node whose turn it is. */
function showPanel() {
  const panel = $("panel");
  const { key } = choice;
  const focused = panel !== document.activeElement && panel.contains(document.activeElement);
  const shown = key === null ? actor() : key[0] === "b" ? boxes[key.slice(1)] : frames[key.slice(1)];
  if (shown !== panel.shown) requestAnimationFrame(() => { panel.scrollTop = 0; });
  panel.shown = shown;
  panel.replaceChildren(...(shown === null ? welcome() : shown.title === undefined ? ofBox(shown) : ofFrame(shown)));
  if (focused) panel.focus({ preventScroll: true }); // what had the focus is gone
}

function welcome() {
  const operations = boxes.filter((box) => box.kind === "operation").length;
  const elements = boxes.filter((box) => box.kind === "parameter" || box.kind === "leaf")
    .reduce((sum, box) => sum + box.results[0].shape.reduce((a, b) => a * b, 1), 0);
  const modules = frames.filter((frame) => frame.kind === "module").length;
  return [make("h2", {}, "One step, forward and backward"), ...lesson(),
    make("p", {}, "Press Play to watch it, or click a node for its values, its gradient, its rule and the line that made it."),
    facts([["operations", operations.toLocaleString("en")], ["numbers that get a gradient", elements.toLocaleString("en")], ["modules", modules ? modules.toLocaleString("en") : ""]]),
    legend()];
}

/** Backpropagation, for who meets it for the first time. */
function lesson() {
  const item = (title, kind, ...words) => make("li", {}, make("b", { class: kind }, title), " ", ...words);
  return [make("ol", { class: "lesson" },
    item("Forward:", "forward", "values go along the arrows; each operation makes one of those that reach it."),
    item("Backward:", "backward", "gradients go the other way, in the opposite order. The gradient of a value tells how much the result changes when the value does. It is 1 at the result; each operation multiplies the one it gets by its own derivative and sends that to its operands: the chain rule."),
    item("Sums:", "backward", "a value that is used more than once gets a gradient from each use. They are added up, and only the whole is sent on: hence the order."))];
}

/** What the looks of nodes mean. */
function legend() {
  const row = (kind, words) => {
    const round = kind === "operation" ? 9 : 3;
    const sample = svg("svg", { width: 42, height: 24, "aria-hidden": "true" }, svg("g", { class: `item ${kind}` },
      ...(kind === "group" ? [svg("rect", { class: "behind", x: 5, y: 6, width: 34, height: 17, rx: 3 })] : []),
      svg("rect", { class: "body", x: 2, y: 3, width: 35, height: 17, rx: round })));
    return make("li", {}, sample, words);
  };
  const line = (kind, words) => make("li", {}, svg("svg", { width: 42, height: 24, "aria-hidden": "true" }, svg("path", { class: `edge ${kind}`, d: "M4 12H36" })), words);
  return make("ul", { class: "legend", "aria-label": "Legend" },
    row("operation", "operation"), row("parameter", "parameter"), row("leaf", "other tensor that gets a gradient"),
    row("constant", "constant: no gradient goes there"), row("operation output", "result"), row("group", "folded: a double click or Enter opens it"),
    line("", "a value goes along; its shape stands at it"), line("forward", "it does so in this step"), line("backward", "a gradient goes back in this step"));
}

function ofFrame(frame) {
  const opened = open.has(frame.id);
  const button = make("button", { type: "button", class: "fold" }, opened ? "Fold" : "Unfold");
  button.onclick = () => toggle(frame, !opened);
  const operations = frame.all.filter((box) => box.kind === "operation").map((box) => box.id).sort((a, b) => a - b);
  const leaves = frame.all.filter((box) => box.kind === "parameter" || box.kind === "leaf").map((box) => box.id);
  const path = around(frame).map((id) => frames[id].title).join(" › ");
  return [
    make("h2", {}, frame.title), make("p", {}, button),
    facts([["inside", path], ["holds", contents(frame)], ["that is", frame.about || ""]]),
    ...(operations.length ? [make("h3", {}, "Operations"), links(operations)] : []),
    ...(leaves.length ? [make("h3", {}, "Parameters"), links(leaves)] : []),
  ];
}

const KINDS = { operation: "operation", parameter: "parameter", leaf: "tensor that gets a gradient", constant: "constant" };

function ofBox(box) {
  const single = box.results.length === 1;
  const [result] = box.results;
  const path = around(box).filter((id) => frames[id].kind === "module").map((id) => frames[id].title).join(" › ");
  const held = choice.key === null
    ? `This step's node. Click a node to stay with it.`
    : "Esc, or a click beside the nodes, goes back to the node of each step.";
  const parts = [
    make("h2", {}, titled(box)), make("p", { class: "faint hint" }, held),
    facts([
      ["kind", KINDS[box.kind] + (box.output ? ", result" : "")],
      ["shape", single ? sizes(result.shape) : ""], ["dtype", single ? result.dtype : ""],
      ["module", path], ["node", box.label || ""], ["tick", box.tick === undefined ? "" : String(box.tick)],
      ["forward in", box.computed >= 0 ? jump(box.computed) : ""],
      ["backward in", Number.isFinite(box.turn) ? jump(box.turn) : ""],
    ]),
  ];
  if (box.frame !== null) {
    const fold = make("button", { type: "button", class: "fold" }, `Fold ${frames[box.frame].title}`);
    fold.onclick = () => foldAround(box);
    parts.push(fold);
  }
  box.results.forEach((found, index) => parts.push(...ofResult(box, found, single ? "" : ` of result ${index}, ${sizes(found.shape)} ${found.dtype}`)));
  if (box.rule !== undefined) parts.push(...ofRule(box));
  if (box.place !== undefined) {
    const { file, line, first, code } = data.places[box.place];
    parts.push(make("h3", {}, "Recorded by this line"), make("p", {}, `${file}:${line}`));
    if (code.length) {
      parts.push(make("pre", { tabindex: "0", "aria-label": "Source" }, ...code.map((text, i) => {
        const shown = `${String(first + i).padStart(4)}  ${text}\n`;
        return first + i === line ? make("mark", {}, shown) : shown;
      })));
    }
  }
  if (box.operands.length) parts.push(make("h3", {}, "Operands"), links(box.operands.map(([id]) => id)));
  if (box.users.length) parts.push(make("h3", {}, "Used by"), links(box.users));
  return parts;
}

function ofRule(box) {
  const rules = data.rules[box.rule];
  if (!rules.length) return [];
  const parts = [make("h3", {}, "Rule: what it makes of the gradient g that it gets")];
  rules.forEach((rule, i) => {
    const [id, index] = box.operands[i];
    parts.push(make("p", { class: "formula" }, rule.formula));
    const sent = boxes[id].results[index].arrivals?.find((arrival) => arrival.from === box.id);
    const twice = box.operands.slice(i + 1, rules.length).some(([later, which]) => later === id && which === index);
    if (sent && !twice) {
      const both = box.operands.slice(0, i).some(([former, which]) => former === id && which === index);
      parts.push(make("p", { class: "sends" }, make("b", {}, inWords(sent.gradient, 4)), ` goes to ${called(boxes[id])}${both ? ", the sum of both," : ""} in `, jump(sent.step)));
    }
    // One function may give the gradients of several operands: it is shown after the last of them.
    if (rule.code && rules[i + 1]?.code !== rule.code) parts.push(make("pre", { class: "rule", tabindex: "0", "aria-label": `Source of the rule for ${rule.of}` }, rule.code));
  });
  return parts;
}

function ofResult(box, result, which) {
  const parts = [make("h3", {}, `Value${which}`)];
  if (result.value) parts.push(...ofArray(result.value, result.shape, "value"));
  else parts.push(make("p", { class: "faint" }, "Not known: no rule needs this value, so the tape did not keep it, nor all that it was computed from. Given a function that computes the result, viz.html sees every value."));
  if (!result.arrivals) return parts;
  const arrived = result.arrivals.filter((arrival) => arrival.step < player.step);
  parts.push(make("h3", { class: "grad" }, `Gradient${which}`), make("ol", { class: "arrivals" }, ...result.arrivals.map((arrival, i) => {
    const from = arrival.from === undefined ? "the backward pass starts with " : `from ${told(boxes[arrival.from])}: `;
    const item = make("li", arrival.step < player.step ? {} : { class: "later" }, from, make("b", {}, inWords(arrival.gradient, 4)));
    if (i) item.append(", added up: ", make("b", {}, addition(result.arrivals, i + 1) || inWords(arrival.total, 4)));
    item.append(" in ", jump(arrival.step));
    return item;
  })));
  if (arrived.length === result.arrivals.length && result.grad) parts.push(...ofArray(result.grad, result.shape, "grad"));
  else parts.push(make("p", { class: "faint" }, `${arrived.length} of ${result.arrivals.length} have arrived at this step.`));
  return parts;
}

// ----- Arrays ---------------------------------------------------------------------------------------

function ofArray(found, shape, what) {
  const parts = [];
  if (found.size === 0) return [make("p", {}, "empty")];
  if (found.size === 1) return [make("p", { class: "number", "data-what": what }, exact(found.values[0]))];
  if (found.nan || found.inf) {
    const bad = [found.nan && counted(found.nan, "element") + " nan", found.inf && counted(found.inf, "element") + " infinite"];
    parts.push(make("p", { class: "warn" }, `⚠ ${bad.filter(Boolean).join(", ")}`));
  }
  if (found.mean !== undefined && found.size > 4) {
    parts.push(facts([["mean", digits(found.mean)], ["std", digits(found.std)], ["min", digits(found.min)], ["max", digits(found.max)], ["zeros", found.zeros ? `${found.zeros.toLocaleString("en")} of ${found.size.toLocaleString("en")}` : ""]]));
  }
  if (found.values) parts.push(table(found.values, shape, what));
  if (found.counts?.length > 1) parts.push(histogram(found, what));
  const heat = heatMap(found, shape, what);
  if (heat) parts.push(heat);
  return parts;
}

/** All numbers: a row for each of the last dimension, which flows on if there is no other. */
function table(values, shape, what) {
  const columns = shape.length > 1 ? shape[shape.length - 1] : Math.min(4, values.length);
  const rows = [];
  for (let first = 0; first < values.length; first += columns) {
    rows.push(make("tr", {}, ...values.slice(first, first + columns).map((value) => make("td", {}, exact(value)))));
  }
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Numbers of the ${what === "grad" ? "gradient" : "value"}` },
    make("table", { class: "numbers", "data-what": what }, ...rows));
}

function histogram(found, what) {
  const most = Math.max(...found.counts);
  const step = 320 / found.counts.length;
  const bars = found.counts.map((count, i) => svg("rect", { class: "bar", x: (i * step + 0.5).toFixed(1), width: (step - 1).toFixed(1), y: (78 - (76 * count) / most).toFixed(1), height: ((76 * count) / most).toFixed(1) }));
  const low = digits(found.min), high = digits(found.max);
  const peak = found.counts.indexOf(most);
  const at = digits(found.min + ((peak + 0.5) * (found.max - found.min)) / found.counts.length);
  return make("figure", { class: `of-${what}` },
    svg("svg", { viewBox: "0 0 320 80", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${found.size} elements from ${low} to ${high}, most of them, ${most}, around ${at}` },
      ...bars, svg("line", { class: "axis", x1: 0, x2: 320, y1: 78.5, y2: 78.5 })),
    make("div", { class: "scale" }, low, make("span", { style: "flex:1" }), high),
    make("figcaption", {}, `Histogram; the tallest bar holds ${most.toLocaleString("en")} of ${found.size.toLocaleString("en")}`));
}

/** Between -1 and 1: blue, the ground, vermilion. */
function colour(level, ground) {
  const end = level < 0 ? [0, 114, 178] : [213, 94, 0];
  const part = Math.sqrt(Math.abs(level)); // small numbers are to be seen as well
  return ground.map((zero, i) => Math.round(zero + (end[i] - zero) * part));
}

function heatMap(found, shape, what) {
  let levels, scale;
  if (found.values) {
    scale = Math.max(...found.values.map((value) => (typeof value === "number" ? Math.abs(value) : Math.abs(Number(value)) || 0)));
    levels = found.values.map((value) => (typeof value === "string" ? null : Number(value) / (scale || 1)));
  } else if (found.heat) {
    scale = found.scale;
    levels = [...atob(found.heat)].map((c) => (c.charCodeAt(0) === 255 ? null : c.charCodeAt(0) / 127 - 1));
  } else return null;
  const columns = found.columns, rows = levels.length / columns;
  const canvas = make("canvas", { role: "img", width: columns, height: rows });
  const total = shape.length ? shape[shape.length - 1] : 1;
  const reduced = columns < total || rows * total < found.size;
  canvas.setAttribute("aria-label", `Heat map of ${rows} rows and ${columns} columns, from ${digits(-scale)} blue over 0 to ${digits(scale)} vermilion`);
  canvas.style.height = `${Math.max(14, Math.min(320, (348 / columns) * rows, rows * 40))}px`;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const ground = matchMedia("(prefers-color-scheme: dark)").matches ? [42, 47, 55] : [247, 247, 247];
  levels.forEach((level, i) => {
    const strange = level === null; // a nan or an infinity is purple
    image.data.set([...(strange ? [204, 121, 167] : colour(level, ground)), 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
  return make("figure", {}, canvas, make("div", { class: "scale" }, digits(-scale), make("i"), digits(scale)),
    make("figcaption", {}, reduced ? `Heat map of ${sizes(shape)}: each cell is the mean of a block` : "Heat map: a cell for each element"));
}
