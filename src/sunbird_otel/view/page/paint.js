// Drawing: only what the window shows, on canvases sized to the screen's pixels.

const ROW = 26, BAR = 12, HUES = 10;

/** The colours of the style sheet, as the canvas needs them. */
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(`--${name}`).trim();
  const theme = { font: "11px " + getComputedStyle(document.body).fontFamily, services: [] };
  for (const name of ["back", "raised", "hover", "text", "muted", "line", "grid", "accent", "violation", "unfinished", "repaired", "error", "tick", "window"]) theme[name] = get(name);
  for (let hue = 0; hue < HUES; hue++) theme.services.push(get(`s${hue}`));
  return theme;
}

/** Fit a canvas to its box; return a context in CSS pixels, cleared. */
function contextOf(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

/** The outline of a bar; a flow without END has a torn end. */
function traceBar(c, x0, x1, y, torn) {
  c.beginPath();
  if (!torn || x1 - x0 < 7) {
    c.roundRect(x0, y, x1 - x0, BAR, Math.min(3, (x1 - x0) / 2));
    return;
  }
  c.moveTo(x0 + 3, y);
  c.lineTo(x1, y);
  for (let tooth = 0; tooth < 4; tooth++) c.lineTo(x1 - (tooth % 2 ? 0 : 4), y + ((tooth + 1) * BAR) / 4);
  c.lineTo(x0 + 3, y + BAR);
  c.quadraticCurveTo(x0, y + BAR, x0, y + BAR - 3);
  c.lineTo(x0, y + 3);
  c.quadraticCurveTo(x0, y, x0 + 3, y);
  c.closePath();
}

function hatch(c, x0, x1, y, colour) {
  c.save();
  c.clip();
  c.strokeStyle = colour;
  c.lineWidth = 1.5;
  c.beginPath();
  for (let x = x0 - BAR; x < x1; x += 5) {
    c.moveTo(x, y + BAR);
    c.lineTo(x + BAR, y);
  }
  c.stroke();
  c.restore();
}

function diamond(c, x, y, size) {
  c.beginPath();
  c.moveTo(x, y - size);
  c.lineTo(x + size, y);
  c.lineTo(x, y + size);
  c.lineTo(x - size, y);
  c.closePath();
}

/** One span between two pixels; the same picture in the chart and in the legend. */
function paintSpan(c, theme, marks, colour, x0, x1, y, point) {
  if (point) {
    diamond(c, x0, y + BAR / 2, 5);
    c.fillStyle = colour;
    c.fill();
  } else {
    traceBar(c, x0, x1, y, marks.unfinished);
    c.fillStyle = colour;
    c.globalAlpha = marks.synthetic ? 0.25 : 1;
    c.fill();
    c.globalAlpha = 1;
    if (marks.unfinished) hatch(c, Math.max(x0, x1 - 36), x1, y, tickColour(theme, marks));
    traceBar(c, x0, x1, y, marks.unfinished);
  }
  if (marks.violations || marks.synthetic) {
    c.strokeStyle = marks.violations ? theme.violation : colour;
    c.lineWidth = marks.violations ? 2 : 1.5;
    c.setLineDash(marks.synthetic ? [4, 3] : []);
    c.stroke();
    c.setLineDash([]);
  }
  if (marks.repairs && !point) {
    c.fillStyle = theme.repaired;
    c.beginPath();
    c.moveTo(x0 - 1, y + BAR + 5);
    c.lineTo(x0 + 4, y + BAR - 1);
    c.lineTo(x0 + 9, y + BAR + 5);
    c.fill();
  }
  if (marks.error) {
    c.fillStyle = theme.error;
    c.beginPath();
    c.arc(x0 + 1, y, 4, 0, 7);
    c.fill();
    c.fillStyle = theme.back;
    c.fillRect(x0 + 0.25, y - 2.5, 1.5, 3);
    c.fillRect(x0 + 0.25, y + 1.2, 1.5, 1.3);
  }
}

// What repair made is pale, and needs dark ticks in the light.
const tickColour = (theme, marks) => (marks.synthetic ? theme.muted : theme.tick);

function paintTicks(c, colour, events, x, x0, x1, y) {
  c.fillStyle = colour;
  let last = -Infinity;
  for (const [, at] of events) {
    const here = Math.round(x(at));
    // Events closer than the eye can part them are one tick.
    if (here < x0 || here - last < 2) continue;
    if (here > x1) break;
    c.fillRect(Math.min(here, x1 - 1.5), y + 2, 1.5, BAR - 4);
    last = here;
  }
}

/** Paint the bars of the rows on the screen. `view` has from, to, rows, first, offset, over, active. */
function paintBars(canvas, theme, model, view) {
  const [c, width, height] = contextOf(canvas);
  const scale = width / (view.to - view.from);
  const x = (at) => (at - view.from) * scale;
  c.font = theme.font;
  c.textBaseline = "middle";
  let y = -view.offset;
  for (let i = view.first; i < view.rows.length && y < height; i++, y += ROW) {
    const node = view.rows[i];
    const back = node === view.over || node === view.active ? theme.hover : node.id === undefined ? theme.raised : null;
    if (back) {
      c.fillStyle = back;
      c.fillRect(0, y, width, ROW);
    }
  }
  c.fillStyle = theme.grid;
  for (const tick of view.ticks) c.fillRect(Math.round(x(tick.at)), 0, 1, height);
  y = -view.offset;
  for (let i = view.first; i < view.rows.length && y < height; i++, y += ROW) {
    const node = view.rows[i];
    if (node.id === undefined) paintTrace(c, theme, node, x, width, y + ROW / 2);
    else paintRow(c, theme, model, node, x, width, y + (ROW - BAR) / 2, view.passed && !view.passed[node.index]);
  }
  if (view.select) {
    c.fillStyle = theme.window;
    c.fillRect(x(view.select[0]), 0, (view.select[1] - view.select[0]) * scale, height);
  }
  if (view.cursor !== null) {
    c.fillStyle = theme.muted;
    c.globalAlpha = 0.5;
    c.fillRect(Math.round(x(view.cursor)), 0, 1, height);
    c.globalAlpha = 1;
  }
}

function paintTrace(c, theme, node, x, width, y) {
  const x0 = Math.max(x(node.start), -10), x1 = Math.min(Math.max(x(node.end), x(node.start) + 2), width + 10);
  c.fillStyle = theme.muted;
  if (x1 < 0 || x0 > width) return paintAway(c, theme.muted, x1 < 0, width, y);
  c.fillRect(x0, y - 1, x1 - x0, 2);
  c.fillRect(x0, y - 4, 2, 8);
  c.fillRect(x1 - 2, y - 4, 2, 8);
}

/** A span outside the window is told by an arrow at the edge where it lies. */
function paintAway(c, colour, left, width, y) {
  c.fillStyle = colour;
  c.beginPath();
  const edge = left ? 3 : width - 3, tail = left ? 9 : width - 9;
  c.moveTo(edge, y);
  c.lineTo(tail, y - 4);
  c.lineTo(tail, y + 4);
  c.fill();
}

function paintRow(c, theme, model, node, x, width, y, faint) {
  const colour = theme.services[model.hueOf[node.service]];
  const start = x(node.start), end = Math.max(x(node.end), start + 2);
  c.globalAlpha = faint ? 0.35 : 1;
  if (end < 0 || start > width) {
    paintAway(c, colour, end < 0, width, y + BAR / 2);
    c.globalAlpha = 1;
    return;
  }
  const x0 = Math.max(start, -12), x1 = Math.min(end, width + 12);
  paintSpan(c, theme, node.marks, colour, x0, x1, y, node.point);
  if (!node.point) {
    if (x1 - x0 > 4) paintTicks(c, tickColour(theme, node.marks), node.events, x, x0 + 1, x1 - 1, y);
    const label = lengthOf(node.length);
    const room = c.measureText(label).width;
    c.fillStyle = theme.muted;
    if (end + room + 8 < width) c.fillText(label, end + 6, y + BAR / 2 + 0.5);
    else if (start - room - 8 > 0) c.fillText(label, start - room - 6, y + BAR / 2 + 0.5);
    else {
      // The bar fills the window: its length stands on it, clear of a torn end.
      const left = Math.min(end, width) - room - (node.marks.unfinished ? 50 : 14);
      c.fillStyle = theme.back;
      c.beginPath();
      c.roundRect(left, y - 2, room + 8, BAR + 4, 4);
      c.fill();
      c.fillStyle = theme.muted;
      c.fillText(label, left + 4, y + BAR / 2 + 0.5);
    }
  }
  c.globalAlpha = 1;
}

/** Paint the axis: the day at the left, a line and a time each step, the cursor's time on top. */
function paintAxis(canvas, theme, model, view) {
  const [c, width, height] = contextOf(canvas);
  const x = (at) => ((at - view.from) * width) / (view.to - view.from);
  c.font = theme.font;
  c.textBaseline = "middle";
  const firstDay = dayOf(model.base, view.from);
  const dayRoom = c.measureText(firstDay).width + 14;
  c.fillStyle = theme.muted;
  c.fillText(firstDay, 4, 9);
  for (const tick of view.ticks) {
    const here = Math.round(x(tick.at));
    c.fillStyle = theme.line;
    c.fillRect(here, height - 8, 1, 8);
    c.fillStyle = theme.text;
    if (here + c.measureText(tick.label).width + 4 < width) c.fillText(tick.label, here + 4, height - 9);
    if (tick.midnight && here > dayRoom && here + dayRoom < width) c.fillText(tick.midnight, here + 4, 9);
  }
  if (view.cursor === null) return;
  const label = momentOf(model.base, view.cursor);
  const room = c.measureText(label).width + 10;
  const left = Math.min(Math.max(x(view.cursor) - room / 2, 0), width - room);
  c.fillStyle = theme.accent;
  c.beginPath();
  c.roundRect(left, 1, room, 16, 4);
  c.fill();
  c.fillStyle = theme.back;
  c.fillText(label, left + 5, 9.5);
}

/** Few rows: each as one thin line, where it stands. */
function paintLines(s, rows, colourOf, width, height, full) {
  const scale = width / (full.to - full.from), step = (height - 6) / rows.length;
  rows.forEach((node, i) => {
    if (node.id === undefined) return;
    s.fillStyle = colourOf(node);
    s.fillRect((node.start - full.from) * scale, 3 + i * step, Math.max((node.end - node.start) * scale, 1.5), Math.min(step * 0.8, 4));
  });
}

/** Many rows: how many spans are under way at each pixel, by colour. */
function paintActivity(s, rows, colourOf, width, height, full) {
  const scale = width / (full.to - full.from), columns = Math.ceil(width);
  const layers = new Map();
  for (const node of rows) {
    if (node.id === undefined) continue;
    const colour = colourOf(node);
    if (!layers.has(colour)) layers.set(colour, new Int32Array(columns + 2));
    const changes = layers.get(colour);
    changes[Math.max(Math.floor((node.start - full.from) * scale), 0)] += 1;
    changes[Math.min(Math.floor((node.end - full.from) * scale), columns) + 1] -= 1;
  }
  const total = new Int32Array(columns);
  for (const counts of layers.values()) for (let x = 0, sum = 0; x < columns; x++) total[x] += counts[x] = sum += counts[x];
  const tall = (height - 6) / total.reduce((most, count) => Math.max(most, count), 1);
  const ground = new Float64Array(columns).fill(height - 2);
  for (const [colour, counts] of layers) {
    s.fillStyle = colour;
    for (let x = 0; x < columns; x++) if (counts[x]) s.fillRect(x, (ground[x] -= counts[x] * tall), 1, counts[x] * tall);
  }
}

/** Paint all rows small, over the whole time, with the window; kept until rows, size or colours change. */
function paintOverview(canvas, store, theme, model, view, full) {
  const [c, width, height] = contextOf(canvas);
  const key = [view.edition, canvas.width, canvas.height, theme.back, full.from, full.to].join();
  if (store.key !== key) {
    store.key = key;
    store.canvas.width = canvas.width;
    store.canvas.height = canvas.height;
    const s = store.canvas.getContext("2d");
    s.scale(canvas.width / width, canvas.height / height);
    const colourOf = ({ marks, service }) => (marks.violations ? theme.violation : marks.unfinished ? theme.unfinished : theme.services[model.hueOf[service]]);
    (view.rows.length * 2 > height ? paintActivity : paintLines)(s, view.rows, colourOf, width, height, full);
  }
  if (canvas.width && canvas.height) c.drawImage(store.canvas, 0, 0, width, height);
  const x = (at) => ((at - full.from) * width) / (full.to - full.from);
  const [x0, x1] = [x(view.from), x(view.to)];
  c.fillStyle = theme.back;
  c.globalAlpha = 0.65;
  c.fillRect(0, 0, x0, height);
  c.fillRect(x1, 0, width - x1, height);
  c.globalAlpha = 1;
  c.strokeStyle = theme.accent;
  c.strokeRect(Math.max(x0, 0) + 0.5, 0.5, Math.max(Math.min(x1, width) - Math.max(x0, 0) - 1, 2), height - 1);
  if (view.rows.length * ROW > view.height) {
    // The rows on the screen, at the right edge.
    c.fillStyle = theme.accent;
    const part = (height - 6) / view.rows.length;
    c.fillRect(width - 4, 3 + view.first * part, 3, Math.max((view.height / ROW) * part, 3));
  }
}
