// Where everything stands. dagre lays out one frame at a time, innermost first, and a frame is a box
// of a fixed size in the layout of the frame around it: so what is inside stays together, and a
// graph of thousands of nodes is many small layouts. An arrow that leaves a frame does so through
// a port, a point on its border, where the layout outside takes it up.

const TITLE = 22; // what a frame keeps free above for its title
const PAD = 14;

/** Set x, y of items, `at` of open frames, `points` of arrows, and the size of the picture. */
function layOut(picture) {
  const levels = new Map([[null, { frame: null, keys: [], edges: new Map() }]]);
  for (const frame of picture.frames) levels.set(frame.id, { frame, keys: [], edges: new Map() });
  for (const frame of picture.frames) levels.get(frame.parent).keys.push(`o${frame.id}`);
  for (const item of picture.items.values()) levels.get(item.frame).keys.push(item.key);
  for (const arrow of picture.arrows) arrow.parts = partsOf(arrow, picture, levels);
  const deepest = [...levels.values()].sort((a, b) => depth(b.frame) - depth(a.frame));
  for (const level of deepest) layOutLevel(level, picture);
  for (const level of deepest.reverse()) settle(level, picture, levels);
  for (const arrow of picture.arrows) arrow.points = joined(arrow.parts, levels);
  const root = levels.get(null);
  picture.width = root.width;
  picture.height = root.height;
}

function depth(frame) {
  return frame === null ? -1 : around(frame).length;
}

/** The parts of an arrow: out of each frame around its source, across, into each around its target. */
function partsOf(arrow, picture, levels) {
  const chain = (key) => {
    const { frame } = picture.items.get(key);
    return frame === null ? [] : [...around(frames[frame]), frame];
  };
  const from = chain(arrow.from), to = chain(arrow.to);
  let shared = 0;
  while (shared < from.length && from[shared] === to[shared]) shared += 1;
  const parts = [];
  const part = (id, source, target) => {
    const edge = `${source} ${target}`;
    levels.get(id).edges.set(edge, { source, target });
    parts.push({ level: id, edge });
  };
  let at = arrow.from;
  for (let i = from.length - 1; i >= shared; i -= 1) {
    part(from[i], at, `>${arrow.from}`);
    at = `o${from[i]}`;
  }
  const next = (i) => (i < to.length ? `o${to[i]}` : arrow.to);
  part(shared ? from[shared - 1] : null, at, next(shared));
  for (let i = shared; i < to.length; i += 1) part(to[i], `<${arrow.from}`, next(i + 1));
  return parts;
}

// Keys: b1 a box, f1 a folded frame, o1 an open one, <b1 where what b1 sends comes in, >b1 goes out.
const isPort = (key) => key[0] === "<" || key[0] === ">";

/** Whether a key is that of a parameter or a constant, whose arrow may bend so that others needn't. */
function isLeaf(key) {
  return key[0] === "b" && boxes[key.slice(1)].operands.length === 0;
}

/** Lay out what a frame holds, its upper left corner being the origin. */
function layOutLevel(level, picture) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({
    rankdir: sideways ? "LR" : "TB", nodesep: 18, ranksep: sideways ? 40 : 26,
    ranker: level.keys.length > 150 ? "longest-path" : "network-simplex", // the better one is slower
  });
  for (const key of level.keys) {
    const { width, height } = key[0] === "o" ? frames[key.slice(1)].size : picture.items.get(key);
    graph.setNode(key, { width, height });
  }
  for (const { source, target } of level.edges.values()) {
    for (const key of [source, target]) if (isPort(key)) graph.setNode(key, { width: 1, height: 1 });
    graph.setEdge(source, target, { weight: isLeaf(source) ? 1 : 4 });
  }
  // Ports are drawn to the borders: nothing stands before the top or after the bottom.
  const ports = graph.nodes().filter(isPort);
  if (ports.length) {
    graph.setNode("top", { width: 1, height: 1 });
    graph.setNode("bottom", { width: 1, height: 1 });
    // What comes in stands in the middle of what begins here, so that the main way is straight.
    const begins = level.keys.filter((key) => !graph.inEdges(key).length);
    const half = Math.ceil(begins.length / 2);
    const first = (key) => graph.setEdge("top", key, { weight: 0, minlen: 2 });
    begins.slice(0, half).forEach(first);
    for (const port of ports) if (port[0] === "<") graph.setEdge("top", port, { weight: 50 });
    begins.slice(half).forEach(first);
    for (const port of ports) if (port[0] === ">") graph.setEdge(port, "bottom", { weight: 50 });
    for (const key of level.keys) {
      if (!graph.outEdges(key).length) graph.setEdge(key, "bottom", { weight: 0, minlen: 2 });
    }
  }
  // With one operation the order given above crosses nothing, and looking for a better one would undo it.
  const simple = ports.length && level.keys.filter((key) => !isLeaf(key)).length <= 1;
  dagre.layout(graph, { disableOptimalOrderHeuristic: Boolean(simple) });
  const nodes = level.keys.map((key) => graph.node(key));
  const span = (side, size) => [Math.min(...nodes.map((n) => n[side] - n[size] / 2)), Math.max(...nodes.map((n) => n[side] + n[size] / 2))];
  let [left, right] = span("x", "width"), [top, bottom] = span("y", "height");
  // Arrows that pass beside the boxes need room as well; those to ports may be cut at the border.
  for (const { source, target } of level.edges.values()) {
    for (const { x, y } of graph.edge(source, target).points) {
      if (!sideways && y > top && y < bottom) [left, right] = [Math.min(left, x - 4), Math.max(right, x + 4)];
      if (sideways && x > left && x < right) [top, bottom] = [Math.min(top, y - 4), Math.max(bottom, y + 4)];
    }
  }
  const title = level.frame ? width(cut(`▾ ${level.frame.title}`, 44), "11px") + 14 : 0;
  const widest = Math.max(right - left, title - 2 * PAD + 4);
  const shift = { x: PAD - left + (widest - (right - left)) / 2, y: (level.frame ? TITLE : PAD) + 4 - top };
  level.width = widest + 2 * PAD;
  level.height = bottom + shift.y + PAD;
  if (level.frame) level.frame.size = { width: level.width, height: level.height };
  level.at = new Map(graph.nodes().map((key) => [key, { x: graph.node(key).x + shift.x, y: graph.node(key).y + shift.y }]));
  level.routes = new Map([...level.edges].map(([name, { source, target }]) => [
    name, graph.edge(source, target).points.map((point) => ({ x: point.x + shift.x, y: point.y + shift.y })),
  ]));
}

/** Turn places inside a frame into places in the picture; the frame's own is known by now. */
function settle(level, picture, levels) {
  const origin = level.frame === null ? { x: 0, y: 0 } : level.origin;
  for (const key of level.keys) {
    const x = level.at.get(key).x + origin.x, y = level.at.get(key).y + origin.y;
    if (key[0] !== "o") {
      Object.assign(picture.items.get(key), { x, y });
      continue;
    }
    const frame = frames[key.slice(1)];
    frame.at = { x, y, ...frame.size };
    levels.get(frame.id).origin = { x: x - frame.size.width / 2, y: y - frame.size.height / 2 };
  }
  level.origin = origin;
}

/** The points of an arrow through all its parts. */
function joined(parts, levels) {
  const points = [];
  for (const { level: id, edge } of parts) {
    const level = levels.get(id);
    const { source, target } = level.edges.get(edge);
    let route = level.routes.get(edge);
    // Where an arrow meets a frame the port inside says where.
    if (source[0] === "o" || isPort(source)) route = route.slice(1);
    if (target[0] === "o" || isPort(target)) route = route.slice(0, -1);
    const all = isPort(source) || isPort(target)
      ? route.filter(({ x, y }) => (sideways ? x > 4 && x < level.width - 4 : y > 4 && y < level.height - 4))
      : [...route];
    if (source[0] === "<") all.unshift(onBorder(level, source, 0));
    if (target[0] === ">") all.push(onBorder(level, target, 1));
    for (const { x, y } of all) points.push({ x: x + level.origin.x, y: y + level.origin.y });
  }
  return points;
}

/** Where a port is on the border that arrows come in (0) or go out by (1). */
function onBorder(level, port, end) {
  const { x, y } = level.at.get(port);
  return sideways ? { x: end * level.width, y: Math.min(level.height - 4, Math.max(TITLE, y)) } : { x: Math.min(level.width - 6, Math.max(6, x)), y: end * level.height };
}
