// The step played: which values are there, which gradients have arrived, told in words as well.

const player = { step: steps.length, timer: null };

/** Show what has happened after `player.step` steps, and the last of them. */
function showStep() {
  const now = player.step - 1;
  const step = steps[now];
  const receivers = new Set((step?.to || []).map(([id]) => seenAs(boxes[id])));
  const acting = actor() === null ? null : seenAs(actor());
  const back = now >= firstBackward;
  for (const item of picture.items.values()) {
    const there = item.group ? item.group.start <= now : item.box.computed <= now;
    const acts = item.key === acting;
    const state = [!there && "pending", acts && (back ? "backward" : "forward"), !acts && receivers.has(item.key) && "arriving", item.key === choice.key && "chosen"];
    update(item, "classes", `${item.kind} ${state.filter(Boolean).join(" ")}`, (text) => item.element.setAttribute("class", text));
    update(item, "text", gradText(item, now), (text) => { if (item.grad) item.grad.textContent = text; });
    if (item.group) update(item, "phase", back ? "grad" : "grad forward", (text) => item.grad.setAttribute("class", text));
    update(item, "label", label(item, now), (text) => item.element.setAttribute("aria-label", text));
  }
  for (const element of $("view").querySelectorAll(".sent")) element.remove();
  const busy = new Set();
  for (const arrow of picture.arrows) {
    const pairs = step?.box === undefined ? [] : arrow.pairs.filter(([from, index, to]) => to === step.box && (step.do === "compute" || arrivalOf(from, index, now)));
    update(arrow, "classes", pairs.length ? `edge ${back ? "backward" : "forward"}` : "edge", (text) => arrow.element.setAttribute("class", text));
    if (!pairs.length) continue;
    const texts = new Set(pairs.map(([from, index]) => {
      const result = boxes[from].results[index];
      return inFull(back ? arrivalOf(from, index, now).gradient : result.value, 1) || sizes(result.shape);
    }));
    busy.add(arrow.from);
    const { x, y } = middle(arrow.points);
    // Beside an arrow that is straight, and short: on it the text would hide it.
    const [first, last] = [arrow.points[0], arrow.points[arrow.points.length - 1]];
    const place = Math.abs(first.x - last.x) < 1 ? { x: x + 7, y: y + 4, "text-anchor": "start" } : Math.abs(first.y - last.y) < 1 ? { x, y: y - 6 } : { x, y: y + 4 };
    $("view").append(Object.assign(svg("text", { "text-anchor": "middle", ...place, class: `sent ${back ? "backward" : "forward"}`, "aria-hidden": "true" }), { textContent: [...texts].filter(Boolean).join(", ") }));
  }
  for (const label of picture.labels) {
    update(label, "classes", busy.has(label.from) ? "shape hidden" : "shape", (text) => label.element.setAttribute("class", text));
  }
  $("slider").value = player.step;
  $("slider").setAttribute("aria-valuetext", `step ${player.step} of ${steps.length}`);
  document.querySelector("footer").classList.toggle("backward", back);
  $("told").replaceChildren(...tell(now));
}

/** Write what has changed: a browser lays out and draws anew whatever is written, the same or not. */
function update(thing, what, text, write) {
  thing.written ??= {};
  if (thing.written[what] === text) return;
  thing.written[what] = text;
  write(text);
}

/** The box whose turn it is, if the step is one box's. */
function actor() {
  return boxes[steps[player.step - 1]?.box] ?? null;
}

/** The gradient that arrives at a result in a step. */
function arrivalOf(id, index, step) {
  return boxes[id].results[index].arrivals?.find((arrival) => arrival.step === step);
}

function gradText(item, now) {
  if (item.group) {
    const waiting = item.group.all.filter((box) => Number.isFinite(box.turn));
    const done = waiting.filter((box) => box.turn <= now).length;
    if (now < firstBackward) {
      const all = item.group.all.filter((box) => box.computed >= 0);
      const computed = all.filter((box) => box.computed <= now).length;
      return computed && computed < all.length ? `forward ${computed} of ${all.length}` : "";
    }
    return done < waiting.length ? `backward ${done} of ${waiting.length}` : "gradients complete";
  }
  const { results } = item.box;
  if (results.length > 1) {
    const receive = results.filter((result) => result.arrivals);
    const count = receive.filter((result) => result.arrivals.some((arrival) => arrival.step <= now)).length;
    return count ? `grad of ${count} of ${counted(receive.length, "result")}` : "";
  }
  const all = results[0].arrivals || [];
  const count = all.filter((arrival) => arrival.step <= now).length;
  return count ? gradientRow(all, count, all[count - 1].step === now) : "";
}

/** What has arrived of a gradient, with the sum that was just made. */
function gradientRow(all, count, just) {
  const last = all[count - 1];
  const sum = just && count > 1 ? addition(all, count) : "";
  const note = count < all.length ? `  (${count} of ${all.length})` : all.length > 1 && !sum ? `  (sum of ${all.length})` : "";
  return `grad ${sum || inWords(last.total || last.gradient)}${note}`;
}

/** "1 − 24 = −23" if what is added are single numbers. */
function addition(all, count) {
  const before = all[count - 2], last = all[count - 1];
  if (last.gradient.values?.length !== 1) return "";
  const added = inWords(last.gradient);
  const signed = added[0] === "−" ? `− ${added.slice(1)}` : `+ ${added}`;
  return `${inWords(before.total || before.gradient)} ${signed} = ${inWords(last.total)}`;
}

/** What a screen reader says of an item. */
function label(item, now) {
  if (item.group) return `${inWordsOf(item.group)}, folded, ${contents(item.group)}; Enter opens it`;
  const { box } = item;
  const [result] = box.results;
  const value = box.computed <= now ? inWords(result.value) || "value not kept" : "not computed yet";
  const size = box.results.length > 1 ? `${box.results.length} results` : `${sizes(result.shape)} ${result.dtype}`;
  return [`${KINDS[box.kind]} ${titled(box)}`, size, value, gradText(item, now)].filter(Boolean).join(", ");
}

/** The step in words. */
function tell(now) {
  const step = steps[now];
  if (!step) return ["Before the first step: only parameters, inputs and constants are known. Press Play, or ▶ for one step."];
  const head = make("b", {}, `Step ${now + 1} of ${steps.length}`);
  if (step.do === "start") {
    return [head, ", backward: it starts at the result. If the result changes by a little, it changes by just as much: its gradient is 1."];
  }
  if (step.do === "end") {
    return [head, ", the end: every gradient is known. An optimizer would now move each parameter a little against its gradient, so that the result becomes smaller."];
  }
  const box = boxes[step.box];
  const [result] = box.results;
  if (step.do === "compute") {
    const from = box.operands.map(([id, index]) => {
      const value = named(boxes[id]) ? "" : inFull(boxes[id].results[index].value);
      return called(boxes[id]) + (value ? ` (${value})` : "");
    });
    const size = box.results.length > 1 ? `${box.results.length} results` : result.shape.length ? sizes(result.shape) : "";
    const out = box.results.length > 1 ? "" : inFull(result.value);
    return [head, `, forward: ${called(box)} takes ${joinedBy(from) || "no tensor"} and gives ${out || size || "a number"}.`];
  }
  const arrivals = result.arrivals || [];
  // Of arrays the shape is said here: their statistics stand in the graph.
  const grad = (found, shape = result.shape) => inFull(found) || sizes(shape);
  if (step.do === "accumulate") {
    const sum = arrivals.length > 1 ? `the sum of the ${arrivals.length} gradients that arrived, ${addition(arrivals, arrivals.length) || grad(result.grad)},` : `the gradient that arrived, ${grad(result.grad)},`;
    return [head, `, backward: ${called(box)} is a leaf, nothing lies behind it: ${sum} goes into its .grad.`];
  }
  const gradient = box.results.length > 1 ? "" : `, ${grad(result.grad)}`;
  const complete = arrivals.length > 1 ? `all ${arrivals.length} gradients of ${called(box)} have arrived and were added up${gradient}` : `the gradient of ${called(box)} is complete${gradient}`;
  const sent = step.to.map(([id, index]) => {
    const { arrivals: all, shape } = boxes[id].results[index];
    const number = all.findIndex((arrival) => arrival.step === now);
    const sum = number > 0 ? ` (added to what was there${all[number].gradient.values?.length === 1 ? `: ${addition(all, number + 1)}` : ""})` : "";
    return `${grad(all[number].gradient, shape)} to ${called(boxes[id])}${sum}`;
  });
  const formulas = data.rules[box.rule].map((rule) => rule.formula).filter((text) => text.length < 70);
  const rule = formulas.length && formulas.length < 4 ? [" The rule: ", make("span", { class: "formula" }, formulas.join(",  "))] : [];
  return [head, `, backward: ${complete}. It is g in the rule, which sends ${joinedBy(sent) || "nothing"}.`, ...rule];
}

function joinedBy(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** Go to a step: 0 is before the first. */
function go(step) {
  player.step = Math.min(steps.length, Math.max(0, step));
  showStep();
  const box = actor();
  if (box !== null) reveal(seenAs(box));
  showPanel(); // what is chosen may have a gradient now that it had not
}

function pause() {
  clearTimeout(player.timer);
  player.timer = null;
  $("play").textContent = "Play";
  // Only steps taken by hand are read out; a running play would never let a screen reader finish.
  $("told").setAttribute("aria-live", "polite");
}

function play() {
  if (player.timer !== null) {
    pause();
    return;
  }
  $("play").textContent = "Pause";
  $("told").setAttribute("aria-live", "off");
  if (player.step >= steps.length) go(0);
  const tick = () => {
    go(player.step + 1);
    if (player.step < steps.length) player.timer = setTimeout(tick, Number($("speed").value));
    else pause();
  };
  player.timer = setTimeout(tick, 100);
}
