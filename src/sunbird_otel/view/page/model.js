// The spans as the page holds them: one flat list of nodes in reading order; a trace of several
// spans has a row of its own above them.

// One ns: the span of a lone event, or of a request that told no duration.
const POINT = 1e-6;
const MARKS = [
  ["unfinished", "Unfinished", (m) => m.unfinished],
  ["violation", "Violations", (m) => m.violations],
  ["repaired", "Repaired", (m) => m.repairs],
  ["error", "Errors", (m) => m.error],
];

/** Read the page's data. A node is a span, or (without `id`) the row of a trace. */
function readModel(data) {
  const { texts, pairs, keys, services } = data;
  const keyOf = (pair) => texts[pairs[pair][0]];
  const attributesOf = (numbers) => numbers.map((pair) => [keyOf(pair), pairs[pair][1]]);
  const wanted = new Map(Object.entries(keys).map(([role, key]) => [key, role]));
  // Of which role the value of a pair is, once for all spans.
  const roleOf = pairs.map(([key]) => wanted.get(texts[key]));
  const nodes = [];
  const bySpan = new Map();
  for (const [traceId, rows] of data.traces) {
    const head = nodes.length;
    const trace = { index: head, parent: -1, depth: 0, traceId, spans: rows.length, events: 0, start: Infinity, end: -Infinity, services: new Set(), session: new Set(), device: new Set(), marks: {} };
    const alone = rows.length === 1;
    if (!alone) nodes.push(trace);
    for (const [parent, id, name, service, start, length, marks, attributes, events, links, note] of rows) {
      const above = alone ? null : nodes[parent < 0 ? head : head + 1 + parent];
      const node = { index: nodes.length, parent: above ? above.index : -1, depth: above ? above.depth + 1 : 0, traceId, id, name: texts[name], service, start, end: start + length, length, point: length <= POINT, marks, attributes, events, links, note };
      for (const pair of attributes) if (roleOf[pair]) node[roleOf[pair]] = String(pairs[pair][1]);
      trace.start = Math.min(trace.start, node.start);
      trace.end = Math.max(trace.end, node.end);
      trace.events += events.length;
      trace.services.add(services[service][0]);
      for (const role of ["session", "device"]) if (node[role]) trace[role].add(node[role]);
      bySpan.set(`${traceId}/${id}`, node);
      nodes.push(node);
    }
  }
  // The first index after each subtree: a parent stands before its children.
  for (const node of nodes) node.last = node.index + 1;
  for (let i = nodes.length - 1; i >= 0; i--) {
    const { parent, last } = nodes[i];
    if (parent >= 0 && nodes[parent].last < last) nodes[parent].last = last;
  }
  const spans = nodes.filter((node) => node.id !== undefined);
  return { ...data, nodes, spans, bySpan, attributesOf, haystack: pairs.map(([, value]) => String(value).toLowerCase()) };
}

/** Which nodes pass the filters; null where there is no filter. */
function matching(model, filters) {
  const { search, session, workflow, type, only, services } = filters;
  const needle = search.trim().toLowerCase();
  if (!needle && !session && !workflow && !type && !only.size && !services.size) return null;
  const tests = MARKS.filter(([mark]) => only.has(mark)).map(([, , test]) => test);
  // A value is looked at once, however many spans share it.
  const found = needle ? model.haystack.map((text) => text.includes(needle)) : [];
  const holds = (node) =>
    node.id.includes(needle) || node.traceId.includes(needle) || node.name.toLowerCase().includes(needle) ||
    node.attributes.some((pair) => found[pair]) || node.events.some(([, , numbers]) => numbers.some((pair) => found[pair]));
  const passed = new Uint8Array(model.nodes.length);
  for (const node of model.spans) {
    if (session && node.session !== session) continue;
    if (workflow && node.workflow !== workflow) continue;
    if (type && node.type !== type) continue;
    if (services.size && !services.has(model.services[node.service][0])) continue;
    if (tests.length && !tests.some((test) => test(node.marks))) continue;
    if (needle && !holds(node)) continue;
    passed[node.index] = 1;
  }
  return passed;
}

/** The rows to show: what passed, what stands above it, less what is folded away. */
function rowsOf(model, passed, folded) {
  const { nodes } = model;
  const shown = passed ? Uint8Array.from(passed) : null;
  if (shown) for (let i = nodes.length - 1; i >= 0; i--) if (shown[i] && nodes[i].parent >= 0) shown[nodes[i].parent] = 1;
  const rows = [];
  for (let i = 0; i < nodes.length; ) {
    if (!shown || shown[i]) rows.push(nodes[i]);
    i = folded.has(i) ? nodes[i].last : i + 1;
  }
  return rows;
}

/** Values with the number of spans that have them, the most frequent first. */
function countsOf(values) {
  const counts = new Map();
  for (const value of values) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const shortId = (id) => (id.length > 12 ? `${id.slice(0, 8)}\u2026` : id);
