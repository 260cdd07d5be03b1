// Where everything stands. dagre lays out one frame at a time, innermost first, and a frame is a box
// of a fixed size in the layout of the frame around it: so what is inside stays together, and a
// graph of thousands of nodes is many small layouts. An arrow that leaves a frame does so through
// a port, a point on its border, where the layout outside takes it up. What would be one long strip
// is set in columns, as a newspaper is.

const TITLE = 22; // what a frame keeps free above for its title
const PAD = 14;
const LANE = 8; // between arrows that lead to the next column side by side
const GAP = 56; // between columns
const LEGIBLE = 0.75; // the scale below which a long graph is shown from its beginning instead

/** Set x, y of items, `at` of open frames, `points` of arrows, labels, and the size of the picture. */
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
  picture.labels = [...levels.values()].flatMap((level) => [...level.edges.values()].filter((edge) => edge.label)
    .map(({ label, from, at }) => ({ text: label, from, x: at.x + level.origin.x, y: at.y + level.origin.y })));
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
  // Where it begins an arrow shares its way with no other source's.
  Object.assign(levels.get(parts[0].level).edges.get(parts[0].edge), { label: arrow.label, from: arrow.from });
  return parts;
}

// Keys: b1 a box, f1 a folded frame, o1 an open one, <b1 where what b1 sends comes in, >b1 goes out.
const isPort = (key) => key[0] === "<" || key[0] === ">";

/** Whether a key is that of a parameter or a constant, whose arrow may bend so that others needn't. */
function isLeaf(key) {
  return key[0] === "b" && boxes[key.slice(1)].operands.length === 0;
}

const solved = new Map(); // layouts by what was asked for: iterations of a loop look alike

/** Lay out what a frame holds, its upper left corner being the origin. */
function layOutLevel(level, picture) {
  const names = new Map();
  const name = (key) => {
    if (!names.has(key)) names.set(key, `${isPort(key) ? key[0] : "n"}${names.size}`);
    return names.get(key);
  };
  const nodes = level.keys.map((key) => {
    const { width, height } = key[0] === "o" ? frames[key.slice(1)].size : picture.items.get(key);
    return { name: name(key), width, height, leaf: isLeaf(key) };
  });
  const edges = [...level.edges.values()].map(({ source, target, label }) =>
    ({ source: name(source), target: name(target), label: label ? Math.ceil(width(label, "10px")) + 8 : 0 }));
  const title = level.frame ? even(width(cut(`▾ ${level.frame.title}`, 44), "11px")) + 14 : 0;
  const asked = JSON.stringify([sideways, screen, title, nodes, edges]);
  if (!solved.has(asked)) solved.set(asked, solve(nodes, edges, title));
  const found = solved.get(asked);
  Object.assign(level, { width: found.width, height: found.height, at: new Map([...names].map(([key, short]) => [key, found.at.get(short)])) });
  if (level.frame) level.frame.size = { width: level.width, height: level.height };
  level.routes = new Map([...level.edges.keys()].map((key, i) => [key, found.routes[i]]));
  [...level.edges.values()].forEach((edge, i) => { edge.at = found.labels[i]; });
}

/** A size rounded up, so that more things have the same. */
const even = (size) => 8 * Math.ceil(size / 8);

/** Places of nodes and ports, routes and places of labels of edges. */
function solve(nodes, edges, title) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({
    rankdir: sideways ? "LR" : "TB", nodesep: 18, ranksep: sideways ? 40 : 32,
    ranker: nodes.length > 150 ? "longest-path" : "network-simplex", // the better one is slower
  });
  for (const { name, width, height } of nodes) graph.setNode(name, { width, height });
  const leaves = new Set(nodes.filter((node) => node.leaf).map((node) => node.name));
  for (const { source, target, label } of edges) {
    for (const name of [source, target]) if (isPort(name)) graph.setNode(name, { width: 1, height: 1 });
    graph.setEdge(source, target, { weight: leaves.has(source) ? 1 : 4, labelpos: "c", ...(label && { width: label, height: 13 }) });
  }
  // Ports are drawn to the borders: nothing stands before the top or after the bottom.
  const ports = graph.nodes().filter(isPort);
  if (ports.length) {
    graph.setNode("top", { width: 1, height: 1 });
    graph.setNode("bottom", { width: 1, height: 1 });
    // What comes in stands in the middle of what begins here, so that the main way is straight.
    const begins = nodes.map((node) => node.name).filter((name) => !graph.inEdges(name).length);
    const half = Math.ceil(begins.length / 2);
    const first = (name) => graph.setEdge("top", name, { weight: 0, minlen: 2 });
    begins.slice(0, half).forEach(first);
    for (const port of ports) if (port[0] === "<") graph.setEdge("top", port, { weight: 50 });
    begins.slice(half).forEach(first);
    for (const port of ports) if (port[0] === ">") graph.setEdge(port, "bottom", { weight: 50 });
    for (const { name } of nodes) {
      if (!graph.outEdges(name).length) graph.setEdge(name, "bottom", { weight: 0, minlen: 2 });
    }
  }
  // With one operation the order given above crosses nothing, and looking for a better one would undo it.
  const simple = ports.length && nodes.length - leaves.size <= 1;
  dagre.layout(graph, { disableOptimalOrderHeuristic: Boolean(simple) });
  const placed = nodes.map((node) => graph.node(node.name));
  straighten(graph, placed);
  const turns = setInColumns(graph, placed);
  const span = (side, size) => [Math.min(...placed.map((n) => n[side] - n[size] / 2)), Math.max(...placed.map((n) => n[side] + n[size] / 2))];
  let [left, right] = span("x", "width"), [top, bottom] = span("y", "height");
  if (sideways) [left, right] = [left - turns, right + turns];
  else [top, bottom] = [top - turns, bottom + turns];
  // Labels need room as well, and arrows that pass beside the boxes; those to ports may be cut at the border.
  for (const { source, target } of edges) {
    const edge = graph.edge(source, target);
    if (edge.height) {
      [left, right] = [Math.min(left, edge.x - edge.width / 2), Math.max(right, edge.x + edge.width / 2)];
      [top, bottom] = [Math.min(top, edge.y - edge.height / 2), Math.max(bottom, edge.y + edge.height / 2)];
    }
    for (const { x, y } of edge.points) {
      if (!sideways && y > top && y < bottom) [left, right] = [Math.min(left, x - 4), Math.max(right, x + 4)];
      if (sideways && x > left && x < right) [top, bottom] = [Math.min(top, y - 4), Math.max(bottom, y + 4)];
    }
  }
  const widest = Math.max(right - left, title - 2 * PAD + 4);
  const shift = { x: PAD - left + (widest - (right - left)) / 2, y: (title ? TITLE : PAD) + 4 - top };
  const shifted = ({ x, y, corner }) => ({ x: x + shift.x, y: y + shift.y, corner });
  return {
    width: widest + 2 * PAD, height: bottom + shift.y + PAD,
    at: new Map(graph.nodes().map((name) => [name, shifted(graph.node(name))])),
    routes: edges.map(({ source, target }) => graph.edge(source, target).points.map(shifted)),
    labels: edges.map(({ source, target }) => shifted(graph.edge(source, target))),
  };
}

/** Have arrows leave boxes below and enter them from above, and go aside only between rows of boxes. */
function straighten(graph, nodes) {
  const [along, across, length, breadth] = sideways ? ["x", "y", "width", "height"] : ["y", "x", "height", "width"];
  const rows = new Map(); // half the height of what stands in a row, by its middle
  for (const node of nodes) rows.set(Math.round(node[along]), Math.max(rows.get(Math.round(node[along])) ?? 0, node[length] / 2));
  const free = (node) => Math.max(0, node[breadth] / 2 - 12); // of the side where arrows end
  const within = (at, low, high) => Math.min(high, Math.max(low, at));
  /** Where an arrow begins: where it can go straight down if there is such a place, else halfway to the corner. */
  const begin = (node, next) => {
    const spread = next[breadth] ? free(next) : 0;
    const low = Math.max(node[across] - free(node), next[across] - spread), high = Math.min(node[across] + free(node), next[across] + spread);
    const aside = (node[across] + within(next[across], node[across] - free(node), node[across] + free(node))) / 2;
    return { [across]: low <= high ? within(node[across], low, high) : aside, [along]: node[along] + node[length] / 2 };
  };
  /** Where it ends: as near to where it comes from. */
  const end = (node, from) => ({ [across]: within(from[across], node[across] - free(node), node[across] + free(node)), [along]: node[along] - node[length] / 2 });
  const entering = new Map();
  for (const name of graph.edges()) {
    const edge = graph.edge(name);
    if (!edge.points) continue;
    const inner = edge.points.slice(1, -1).flatMap((point) => {
      const half = rows.get(Math.round(point[along]));
      if (half !== undefined) return [-half, half].map((by) => ({ ...point, [along]: point[along] + by }));
      return edge.height && Math.abs(point[along] - edge[along]) < 1 ? [point] : []; // a label stands there
    });
    const source = graph.node(name.v), target = graph.node(name.w);
    edge.points = [begin(source, inner[0] ?? target), ...inner];
    edge.points.push(end(target, edge.points[edge.points.length - 1]));
    if (!entering.has(name.w)) entering.set(name.w, []);
    entering.get(name.w).push(edge.points);
  }
  // Arrows that would end at one point are set side by side.
  for (const [name, ways] of entering) {
    const room = free(graph.node(name)), middle = graph.node(name)[across];
    const apart = Math.min(14, (2 * room) / (ways.length - 1 || 1));
    const before = (way) => way[way.length - 2][across];
    const ends = ways.sort((a, b) => before(a) - before(b)).map((way) => way[way.length - 1]);
    ends.forEach((point, i) => { if (i) point[across] = Math.max(point[across], ends[i - 1][across] + apart); });
    ends.reverse().forEach((point, i) => { point[across] = Math.min(point[across], i ? ends[i - 1][across] - apart : middle + room); });
  }
  // Beside what is higher in their row they go straight as well.
  for (const name of graph.edges()) {
    const { points } = graph.edge(name);
    if (!points) continue;
    const [source, target] = [name.v, name.w].map((end) => graph.node(end)[along]);
    const out = source + (rows.get(Math.round(source)) ?? 0), into = target - (rows.get(Math.round(target)) ?? 0);
    if (out > points[0][along] + 1) points.splice(1, 0, { ...points[0], [along]: out });
    if (into < points[points.length - 1][along] - 1) points.splice(-1, 0, { ...points[points.length - 1], [along]: into });
  }
}

/** Cut a layout that is long and narrow where few arrows pass, and set the parts side by side.
 *  Return how far arrows go beyond the boxes where they lead from one part to the next. */
function setInColumns(graph, nodes) {
  const [along, across, length, breadth] = sideways ? ["x", "y", "width", "height"] : ["y", "x", "height", "width"];
  const room = { width: screen.width / LEGIBLE, height: screen.height / LEGIBLE };
  const start = (node) => node[along] - node[length] / 2, end = (node) => node[along] + node[length] / 2;
  const sorted = [...nodes].sort((a, b) => start(a) - start(b));
  const first = start(sorted[0]), last = Math.max(...nodes.map(end));
  const edges = graph.edges().map((name) => graph.edge(name)).filter((edge) => edge.points);
  const reach = (from, to) => {
    const places = [...nodes.filter((n) => start(n) < to && end(n) > from).flatMap((n) => [n[across] - n[breadth] / 2, n[across] + n[breadth] / 2]),
      ...edges.flatMap((edge) => edge.points).filter((p) => p[along] > from && p[along] < to).map((p) => p[across])];
    return [Math.min(...places), Math.max(...places)];
  };
  const [left, right] = reach(-Infinity, Infinity);
  const wanted = Math.round(Math.sqrt(((last - first) / (right - left + GAP)) * (room[breadth] / room[length])));
  if (last - first <= room[length] || wanted < 2) return 0;
  // Where there is nothing but arrows, a cut may be.
  const gaps = [];
  let reached = end(sorted[0]);
  for (const node of sorted.slice(1)) {
    if (start(node) > reached + 4) {
      const at = start(node) - 3;
      const passing = edges.filter(({ points }) => points[0][along] < at && points[points.length - 1][along] > at);
      if (passing.length <= 3) gaps.push({ at, passing });
    }
    reached = Math.max(reached, end(node));
  }
  const cuts = [];
  for (let i = 1; i < wanted; i += 1) {
    const ideal = first + (i * (last - first)) / wanted;
    const cost = (gap) => Math.abs(gap.at - ideal) + 40 * gap.passing.length;
    const best = gaps.filter((gap) => !cuts.includes(gap)).sort((a, b) => cost(a) - cost(b))[0];
    if (best && cost(best) < (0.5 * (last - first)) / wanted) cuts.push(best);
  }
  if (!cuts.length) return 0;
  cuts.sort((a, b) => a.at - b.at);
  const column = (place) => cuts.filter((cut) => cut.at <= place).length;
  const columns = [];
  for (let i = 0, beside = 0; i <= cuts.length; i += 1) {
    const from = i ? cuts[i - 1].at : -Infinity, to = i < cuts.length ? cuts[i].at : Infinity;
    const [near, far] = reach(from, to);
    const held = sorted.filter((n) => start(n) >= from && start(n) < to);
    const labels = edges.filter((edge) => edge.height && edge[along] >= from && edge[along] < to).map((edge) => edge[along] + edge[length] / 2);
    const top = Math.min(...held.map(start)), bottom = Math.max(...held.map(end), ...labels);
    columns.push({ across: beside - near, along: first - top, end: first - top + bottom, far: beside - near + far });
    beside += far - near + GAP;
  }
  const moved = (point, i) => ({ ...point, [along]: point[along] + columns[i].along, [across]: point[across] + columns[i].across });
  for (const edge of edges) {
    const points = [];
    edge.points.forEach((point, n) => {
      const before = edge.points[n - 1] || point;
      for (let i = column(before[along]); i < column(point[along]); i += 1) {
        const lane = 14 + LANE * cuts[i].passing.indexOf(edge);
        const part = (cuts[i].at - before[along]) / (point[along] - before[along]);
        const out = before[across] + part * (point[across] - before[across]) + columns[i].across;
        const between = columns[i].far + 8 + lane;
        const enter = out - columns[i].across + columns[i + 1].across;
        const turns = [[out, columns[i].end], [out, columns[i].end + lane], [between, columns[i].end + lane], [between, first - lane], [enter, first - lane], [enter, first]]
          .map(([a, l]) => ({ [across]: a, [along]: l }));
        points.push(turns[0], ...rounded(turns));
      }
      points.push(moved(point, column(point[along])));
    });
    edge.points = points;
    if (edge.x !== undefined) Object.assign(edge, moved(edge, column(edge[along])));
  }
  for (const key of graph.nodes()) {
    const node = graph.node(key);
    Object.assign(node, moved(node, column(start(node))));
  }
  return 14 + LANE * (Math.max(...cuts.map((cut) => cut.passing.length)) - 1);
}

/** Corners, each between two points close to it where the line begins and ends to turn. */
function rounded(corners) {
  const near = (corner, other) => {
    const part = Math.min(0.5, 6 / (Math.hypot(other.x - corner.x, other.y - corner.y) || 1));
    return { x: corner.x + part * (other.x - corner.x), y: corner.y + part * (other.y - corner.y) };
  };
  return corners.slice(1, -1).flatMap((corner, i) => [near(corner, corners[i]), { ...corner, corner: true }, near(corner, corners[i + 2])]);
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
    if (target[0] === ">") {
      const port = onBorder(level, target, 1), across = sideways ? "y" : "x";
      // From a frame inside, with nothing between, it goes straight on.
      if (!all.length) port[across] = points[points.length - 1][across] - level.origin[across];
      all.push(port);
    }
    for (const { x, y, corner } of all) points.push({ x: x + level.origin.x, y: y + level.origin.y, corner });
  }
  return points;
}

/** Where a port is on the border that arrows come in (0) or go out by (1). */
function onBorder(level, port, end) {
  const { x, y } = level.at.get(port);
  return sideways ? { x: end * level.width, y: Math.min(level.height - 4, Math.max(TITLE, y)) } : { x: Math.min(level.width - 6, Math.max(6, x)), y: end * level.height };
}
