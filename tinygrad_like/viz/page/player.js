// The step played: which values are there, which gradients have arrived, told in words as well.

const player = { step: steps.length, timer: null };

/** What has happened after `player.step` steps; the last of them is the one that is shown. */
function showStep() {
  const now = player.step - 1;
  const step = steps[now];
  const receivers = new Set((step?.to || []).map(([id]) => seenAs(boxes[id])));
  const acting = step && step.box !== undefined ? seenAs(boxes[step.box]) : null;
  const back = now >= firstBackward;
  for (const item of picture.items.values()) {
    const classes = item.element.classList;
    const there = item.group ? item.group.all.some((box) => box.computed <= now) : item.box.computed <= now;
    classes.toggle("pending", !there);
    classes.toggle("forward", item.key === acting && !back);
    classes.toggle("backward", item.key === acting && back);
    classes.toggle("arriving", receivers.has(item.key) && item.key !== acting);
    classes.toggle("chosen", item.key === choice.key);
    if (item.grad) item.grad.textContent = gradText(item, now);
    item.element.setAttribute("aria-label", label(item, now));
  }
  for (const arrow of picture.arrows) {
    const classes = arrow.element.classList;
    classes.toggle("forward", step?.do === "compute" && arrow.pairs.some(([, , to]) => to === step.box));
    classes.toggle("backward", step?.do === "send" && arrow.pairs.some(([from, index, to]) => to === step.box && step.to.some(([id, i]) => id === from && i === index)));
  }
  $("slider").value = player.step;
  $("slider").setAttribute("aria-valuetext", `step ${player.step} of ${steps.length}`);
  document.querySelector("footer").classList.toggle("backward", back);
  $("told").replaceChildren(...tell(now));
}

function gradText(item, now) {
  if (item.group) {
    const waiting = item.group.all.filter((box) => Number.isFinite(box.turn));
    const done = waiting.filter((box) => box.turn <= now).length;
    if (now < firstBackward) {
      const computed = item.group.all.filter((box) => box.computed >= 0 && box.computed <= now).length;
      const all = item.group.all.filter((box) => box.computed >= 0).length;
      return computed && computed < all ? `forward ${computed} of ${all}` : "";
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
  const arrived = all.filter((arrival) => arrival.step <= now);
  return arrived.length ? gradientRow(arrived[arrived.length - 1], arrived.length, all.length) : "";
}

/** What a screen reader says of an item. */
function label(item, now) {
  if (item.group) return `Module ${item.group.title}, folded, ${contents(item.group)}; Enter opens it`;
  const { box } = item;
  const [result] = box.results;
  const value = box.computed <= now ? inWords(result.value) || "value not kept" : "not computed yet";
  const size = box.results.length > 1 ? `${box.results.length} results` : `${sizes(result.shape)} ${result.dtype}`;
  return [`${KINDS[box.kind]} ${called(box)}`, size, value, gradText(item, now)].filter(Boolean).join(", ");
}

/** The step in words. */
function tell(now) {
  const step = steps[now];
  const words = (text) => document.createTextNode(text);
  const head = make("b", {}, `Step ${now + 1} of ${steps.length}`);
  if (!step) return [words("Before the first step: nothing but the inputs is known.")];
  const box = boxes[step.box];
  const [result] = box ? box.results : [];
  if (step.do === "compute") {
    const from = [...new Set(box.operands.map(([id]) => called(boxes[id])))];
    const out = inWords(result.value, 4);
    return [head, words(`, forward: ${called(box)} of ${from.join(", ")} gives ${box.results.length > 1 ? `${box.results.length} results` : sizes(result.shape)}${out ? `: ${out}` : ""}.`)];
  }
  if (step.do === "start") {
    return [head, words(", backward: it starts at the result, whose derivative by itself is 1.")];
  }
  const grad = inWords(result.grad, 4);
  if (step.do === "accumulate") {
    const count = result.arrivals.length;
    const sum = count > 1 ? `the sum of the ${count} gradients that arrived` : "the gradient that arrived";
    return [head, words(`, backward: ${called(box)} is a leaf; ${sum}, ${grad}, is what .grad gets.`)];
  }
  const waits = result.arrivals?.length > 1 ? `${result.arrivals.length} gradients of ${called(box)} have arrived and been added up` : `The gradient of ${called(box)} is complete`;
  const sent = step.to.map(([id, index]) => {
    const arrivals = boxes[id].results[index].arrivals;
    const number = arrivals.findIndex((arrival) => arrival.step === now);
    const arrival = arrivals[number];
    const sum = number > 0 ? ` (added up: ${inWords(arrival.total)})` : "";
    return `${inWords(arrival.gradient)} to ${called(boxes[id])}${sum}`;
  });
  return [head, words(`, backward: ${waits}${box.results.length === 1 ? ` (${grad})` : ""}. Its rule sends ${sent.join("; ") || "nothing"}.`)];
}

/** Go to a step: 0 is before the first. */
function go(step) {
  player.step = Math.min(steps.length, Math.max(0, step));
  const box = steps[player.step - 1]?.box;
  if (box !== undefined && player.timer !== null) reveal(seenAs(boxes[box]));
  showStep();
  // What is chosen may have a gradient now that it had not.
  if (choice.key !== null) showPanel();
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
