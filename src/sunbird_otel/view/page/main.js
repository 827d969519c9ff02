// The state of the page, and what the pointer, the wheel and the keys do to it.

const model = readModel(JSON.parse(byId("data").textContent));
const filters = { search: "", session: "", workflow: "", type: "", only: new Set(), services: new Set() };
const view = { from: 0, to: 1, rows: [], ticks: [], passed: null, first: 0, offset: 0, height: 0, over: null, active: null, pinned: null, cursor: null, select: null, edition: 0 };
const folded = new Set();
const overview = { canvas: document.createElement("canvas"), key: "" };
const [bars, axis, mini, rows, scroller, panel, tip] = ["bars", "axis", "overview", "rows", "scroller", "panel", "tip"].map(byId);
const NARROWEST = 4; // ms; Sunbird's clocks tick in ms
let theme = readTheme();
let full = { from: 0, to: 1 };
let asked = false;

// --- time ---------------------------------------------------------------------------------------------------------

/** The time that the rows of spans take, with a little air. */
function extent(nodes) {
  let from = Infinity, to = -Infinity;
  for (const node of nodes) [from, to] = [Math.min(from, node.start), Math.max(to, node.end)];
  if (from > to) [from, to] = [0, SECOND];
  const air = Math.max((to - from) * 0.015, NARROWEST / 2);
  return { from: from - air, to: to + air };
}

function show(from, to) {
  const length = Math.min(Math.max(to - from, NARROWEST), full.to - full.from);
  // Zooming in at the edge of what is allowed keeps the middle.
  const start = to - from < length ? (from + to - length) / 2 : from;
  view.from = Math.min(Math.max(start, full.from), full.to - length);
  view.to = view.from + length;
  repaint();
}
const zoom = (factor, at = (view.from + view.to) / 2) => show(at - (at - view.from) * factor, at + (view.to - at) * factor);
const pan = (part) => show(view.from + (view.to - view.from) * part, view.to + (view.to - view.from) * part);
const timeAt = (canvas, clientX, range = view) => {
  const { left, width } = canvas.getBoundingClientRect();
  return range.from + ((clientX - left) / width) * (range.to - range.from);
};

// --- painting -----------------------------------------------------------------------------------------------------

function repaint() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    paint();
  });
}

function paint() {
  view.height = scroller.clientHeight;
  byId("pane").style.height = `${view.height}px`;
  byId("spacer").style.height = `${view.rows.length * ROW}px`;
  // The bar of the scroller takes its width from the chart alone.
  const inset = scroller.offsetWidth - scroller.clientWidth;
  axis.style.width = mini.style.width = `calc(100% - ${inset}px)`;
  view.first = Math.floor(scroller.scrollTop / ROW);
  view.offset = scroller.scrollTop % ROW;
  view.ticks = ticksOf(model.base, view.from, view.to, bars.clientWidth, 88);
  byId("axis-label").textContent = `Flows; ${lengthOf(view.to - view.from)} shown, UTC`;
  paintRows();
  paintBars(bars, theme, model, view);
  paintAxis(axis, theme, model, view);
  paintOverview(mini, overview, theme, model, view, full);
}

function paintRows() {
  const count = Math.min(Math.ceil((view.height + view.offset) / ROW), view.rows.length - view.first);
  while (rows.children.length < count) rows.append(make("div.row", { role: "treeitem" }));
  while (rows.children.length > Math.max(count, 0)) rows.lastChild.remove();
  for (let i = 0; i < count; i++) {
    const node = view.rows[view.first + i];
    fillRow(rows.children[i], model, view, node, i * ROW - view.offset, folded.has(node.index));
  }
  if (view.active) rows.setAttribute("aria-activedescendant", `row-${view.active.index}`);
}

/** Work out the rows anew; with `fit`, show the whole time they take. */
function refresh(fit) {
  view.passed = matching(model, filters);
  view.rows = rowsOf(model, view.passed, folded);
  view.edition += 1;
  const passed = view.passed ? model.spans.filter((node) => view.passed[node.index]) : model.spans;
  full = extent(model.spans);
  const range = fit ? extent(passed) : view;
  const count = view.passed ? `${passed.length.toLocaleString("en")} of ${plural(model.spans.length, "span")}` : plural(model.spans.length, "span");
  const events = passed.reduce((sum, node) => sum + node.events.length, 0);
  byId("summary").textContent = `${count}, ${plural(events, "event")}, ${plural(model.traces.length, "trace")}`;
  byId("overview-label").textContent = model.spans.length ? `${momentOf(model.base, full.from).slice(0, 16)} \u2013 ${momentOf(model.base, full.to).slice(0, 16)} UTC` : "";
  byId("clear").hidden = !view.passed;
  byId("empty").hidden = view.rows.length > 0;
  byId("empty").textContent = model.spans.length ? "No span passes the filters." : "No flows.";
  show(range.from, range.to);
}

// --- rows ---------------------------------------------------------------------------------------------------------

const placeOf = (node) => view.rows.indexOf(node);

function activate(node) {
  view.active = node;
  const top = placeOf(node) * ROW;
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (top + ROW > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + ROW - scroller.clientHeight;
  repaint();
}

function fold(node, on = !folded.has(node.index)) {
  if (node.last === node.index + 1) return;
  on ? folded.add(node.index) : folded.delete(node.index);
  refresh(false);
}

function pin(node) {
  view.pinned = node;
  if (node.id === undefined) return fold(node);
  fillPanel(panel, model, node, goTo, unpin);
  repaint();
}

function unpin() {
  view.pinned = null;
  panel.hidden = true;
  rows.focus({ preventScroll: true });
  repaint();
}

/** Move to a span wherever it is: through filters and folds, and outside the window. */
function goTo(node) {
  for (let above = node.parent; above >= 0; above = model.nodes[above].parent) folded.delete(above);
  if (view.passed && !view.passed[node.index]) byId("clear").click();
  refresh(false);
  approach(node);
  activate(node);
  pin(node);
}

/** Bring a span into the window when it lies outside. */
function approach(node) {
  if (node.end >= view.from && node.start <= view.to) return;
  const half = (view.to - view.from) / 2;
  show(node.start - half, node.start + half);
}

function zoomTo(node) {
  const { from, to } = extent([node]);
  show(from, to);
}

// --- pointer ------------------------------------------------------------------------------------------------------

const rowAt = (clientY) => view.rows[Math.floor((clientY - scroller.getBoundingClientRect().top + scroller.scrollTop) / ROW)] ?? null;

function eventAt(node, clientX) {
  const reach = ((view.to - view.from) / bars.clientWidth) * 4;
  const at = timeAt(bars, clientX);
  let best = null;
  for (const event of node.events) if (Math.abs(event[1] - at) <= (best ? Math.abs(best[1] - at) : reach)) best = event;
  return best;
}

function hover(event, onBars) {
  const node = rowAt(event.clientY);
  view.over = node;
  view.cursor = onBars ? timeAt(bars, event.clientX) : null;
  if (node) {
    fillTip(tip, model, node, onBars && node.id !== undefined ? eventAt(node, event.clientX) : null);
    placeTip(tip, event.clientX, event.clientY);
  } else tip.hidden = true;
  repaint();
}

function leave() {
  view.over = view.cursor = null;
  tip.hidden = true;
  repaint();
}

/** Follow one drag from press to release; `moved` gets the event, `done` whether it went anywhere. */
function drag(canvas, press, moved, done) {
  canvas.setPointerCapture(press.pointerId);
  let far = false;
  const move = (event) => {
    far ||= Math.hypot(event.clientX - press.clientX, event.clientY - press.clientY) > 3;
    if (far) moved(event);
  };
  const stop = (event) => {
    canvas.removeEventListener("pointermove", move);
    canvas.removeEventListener("pointerup", stop);
    canvas.removeEventListener("pointercancel", stop);
    done(event, far);
  };
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", stop);
  canvas.addEventListener("pointercancel", stop);
}

function dragToSelect(canvas, press, range) {
  const from = timeAt(canvas, press.clientX, range);
  drag(canvas, press, (event) => {
    const at = timeAt(canvas, event.clientX, range);
    view.select = [Math.min(from, at), Math.max(from, at)];
    repaint();
  }, (event, far) => {
    const chosen = view.select;
    view.select = null;
    if (far && chosen) show(...chosen);
    else if (!far && range === full) show(from - (view.to - view.from) / 2, from + (view.to - view.from) / 2);
    repaint();
  });
}

function dragToMove(press) {
  const { from, to } = view;
  const top = scroller.scrollTop;
  const perPixel = (to - from) / bars.clientWidth;
  bars.classList.add("dragging");
  drag(bars, press, (event) => {
    tip.hidden = true;
    scroller.scrollTop = top - (event.clientY - press.clientY);
    const by = (press.clientX - event.clientX) * perPixel;
    show(from + by, to + by);
  }, (event, far) => {
    bars.classList.remove("dragging");
    const node = far ? null : rowAt(event.clientY);
    if (!node) return;
    rows.focus({ preventScroll: true });
    activate(node);
    approach(node);
    pin(node);
  });
}

bars.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.shiftKey ? dragToSelect(bars, event, view) : dragToMove(event);
});
bars.addEventListener("pointermove", (event) => event.buttons || hover(event, true));
bars.addEventListener("pointerleave", leave);
bars.addEventListener("dblclick", (event) => {
  const node = rowAt(event.clientY);
  if (node) zoomTo(node);
});
rows.addEventListener("pointermove", (event) => hover(event, false));
rows.addEventListener("pointerleave", leave);
rows.addEventListener("click", (event) => {
  const node = rowAt(event.clientY);
  if (!node) return;
  view.active = node;
  event.target.closest(".turn") ? fold(node) : (activate(node), pin(node));
});
rows.addEventListener("dblclick", (event) => {
  const node = rowAt(event.clientY);
  if (node && !event.target.closest(".turn")) zoomTo(node);
});
axis.addEventListener("pointerdown", (event) => event.button || dragToSelect(axis, event, view));
axis.addEventListener("pointermove", (event) => {
  view.cursor = timeAt(axis, event.clientX);
  repaint();
});
axis.addEventListener("pointerleave", leave);
mini.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  const at = timeAt(mini, event.clientX, full);
  const whole = view.to - view.from > (full.to - full.from) * 0.98;
  if (whole || at < view.from || at > view.to) return dragToSelect(mini, event, full);
  const { from, to } = view;
  drag(mini, event, (move) => {
    const by = timeAt(mini, move.clientX, full) - at;
    show(from + by, to + by);
  }, () => {});
});

function wheel(event, zooms) {
  const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (!zooms && !event.ctrlKey && !event.metaKey && !event.altKey && !sideways) return;
  event.preventDefault();
  const step = event.deltaMode === 1 ? 16 : 1;
  if (sideways && !event.ctrlKey) pan((((event.deltaX || event.deltaY) * step) / bars.clientWidth) * 0.8);
  else zoom(Math.exp(Math.min(Math.max(event.deltaY * step, -240), 240) * 0.0022), event.currentTarget === mini ? timeAt(mini, event.clientX, full) : timeAt(bars, event.clientX));
}
scroller.addEventListener("wheel", (event) => wheel(event, false), { passive: false });
axis.addEventListener("wheel", (event) => wheel(event, true), { passive: false });
mini.addEventListener("wheel", (event) => wheel(event, true), { passive: false });
scroller.addEventListener("scroll", repaint);

// --- keys ---------------------------------------------------------------------------------------------------------

function step(by) {
  if (!view.rows.length) return;
  const here = view.active ? placeOf(view.active) : -1;
  activate(view.rows[Math.min(Math.max(here + by, 0), view.rows.length - 1)]);
}

const TREE_KEYS = {
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  PageDown: () => step(Math.max(Math.floor(view.height / ROW) - 1, 1)),
  PageUp: () => step(-Math.max(Math.floor(view.height / ROW) - 1, 1)),
  Home: () => step(-Infinity),
  End: () => step(Infinity),
  ArrowRight: () => view.active && (folded.has(view.active.index) ? fold(view.active, false) : view.active.last > view.active.index + 1 && step(1)),
  ArrowLeft: () => {
    const node = view.active;
    if (!node) return;
    if (node.last > node.index + 1 && !folded.has(node.index)) fold(node, true);
    else if (node.parent >= 0) activate(model.nodes[node.parent]);
  },
  Enter: () => view.active && pin(view.active),
  " ": () => view.active && fold(view.active),
};
const PAGE_KEYS = {
  "+": () => zoom(0.6), "=": () => zoom(0.6), w: () => zoom(0.6),
  "-": () => zoom(1 / 0.6), s: () => zoom(1 / 0.6),
  a: () => pan(-0.2), d: () => pan(0.2),
  0: () => show(full.from, full.to),
  f: () => view.active && zoomTo(view.active),
  "/": () => byId("search").focus(),
  "?": () => fillLegend(byId("legend"), theme),
  Escape: unpin,
};

rows.addEventListener("focus", () => view.active || step(1));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("legend").open) return;
  if (event.target.matches("input, select")) {
    if (event.key === "Escape") rows.focus();
    return;
  }
  const act = (document.activeElement === rows ? TREE_KEYS[event.key] : null) ?? PAGE_KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// --- buttons, sizes, colours --------------------------------------------------------------------------------------

function foldAll(on) {
  folded.clear();
  if (on) for (const node of model.nodes) if (node.last > node.index + 1) folded.add(node.index);
  scroller.scrollTop = 0;
  refresh(false);
}
const BUTTONS = { fold: () => foldAll(true), unfold: () => foldAll(false), "zoom-in": () => zoom(0.6), "zoom-out": () => zoom(1 / 0.6), reset: () => show(full.from, full.to), help: () => fillLegend(byId("legend"), theme) };
for (const [id, act] of Object.entries(BUTTONS)) byId(id).addEventListener("click", act);

function setNames(width) {
  byId("chart").style.setProperty("--names", `${Math.round(Math.min(Math.max(width, 140), innerWidth * 0.7))}px`);
  repaint();
}
const splitter = byId("splitter");
splitter.addEventListener("pointerdown", (event) => {
  const left = byId("chart").getBoundingClientRect().left;
  drag(splitter, event, (move) => setNames(move.clientX - left), () => {});
});
splitter.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -20, ArrowRight: 20 }[event.key];
  if (by) setNames(rows.offsetWidth + by);
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  theme = readTheme();
  repaint();
});
new ResizeObserver(repaint).observe(byId("chart"));

setUpFilters(model, filters, refresh);
fillRefused(model);
setNames(Math.min(430, innerWidth * 0.32));
refresh(true);
