// What is told in words: the tip under the pointer, the pinned panel, the legend, the refusals.
// Foreign text enters the page through textContent alone.

const byId = (id) => document.getElementById(id);

/** Make an element: class from "tag.class", properties, children as nodes or text. */
function make(what, properties, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  Object.assign(element, properties);
  element.append(...children.filter((child) => child !== "" && child != null));
  return element;
}

const shown = (value) => (Array.isArray(value) ? value.join(", ") : String(value));
const tableOf = (pairs) =>
  make("table", {}, make("tbody", {}, ...pairs.map(([key, value]) => make("tr", {}, make("th", { scope: "row" }, key), make("td.mono", {}, shown(value))))));

/** The marks of a span as [class, short text, code] triples. */
function badgesOf(marks) {
  const badges = [];
  if (marks.error) badges.push(["error", "error", "error"]);
  for (const code of marks.violations ?? []) badges.push(["violation", code, code]);
  if (marks.unfinished) badges.push(["unfinished", `unfinished: ${marks.unfinished}`, marks.unfinished]);
  for (const kind of marks.repairs ?? []) badges.push(["repaired", kind, kind]);
  if (marks.instant) badges.push(["quiet", "instant", "instant"]);
  return badges;
}
const badgeOf = ([kind, text]) => make(`span.badge.${kind}`, {}, text);

function serviceOf(model, node) {
  const [name, version] = model.services[node.service];
  const dot = make("span.dot", {});
  dot.style.background = `var(--s${model.hueOf[node.service]})`;
  dot.style.display = "inline-block";
  return make("span", {}, dot, ` ${name || "(no service name)"}${version ? ` ${version}` : ""}`);
}

function spanTimes(model, node) {
  if (node.point) return `${momentOf(model.base, node.start)} UTC`;
  const sameDay = dayOf(model.base, node.start) === dayOf(model.base, node.end);
  const end = sameDay ? clockOf(model.base, node.end) : momentOf(model.base, node.end);
  return `${momentOf(model.base, node.start)} \u2013 ${end} UTC, ${lengthOf(node.length)}`;
}

/** Fill the tip for a node, and for one of its events when the pointer is on a tick. */
function fillTip(tip, model, node, event) {
  if (node.id === undefined) {
    tip.replaceChildren(
      make("h2", {}, `Trace ${node.traceId}`),
      make("div.muted", {}, `${momentOf(model.base, node.start)} UTC, ${lengthOf(node.end - node.start)}`),
      make("div.muted", {}, `${plural(node.spans, "span")}, ${plural(node.events, "event")}: ${[...node.services].join(", ")}`),
    );
    return;
  }
  const all = model.attributesOf(event ? event[2] : node.attributes);
  const rest = all.length - 12;
  tip.replaceChildren(
    make("h2", {}, event ? `${model.texts[event[0]]} in ${node.name}` : node.name),
    make("div.muted", {}, event ? `${momentOf(model.base, event[1])} UTC` : spanTimes(model, node)),
    event ? "" : make("div", {}, serviceOf(model, node)),
    make("div.marks", {}, ...(event ? [] : badgesOf(node.marks).map(badgeOf))),
    event ? "" : make("div.muted", {}, [plural(node.events.length, "event"), node.links.length ? plural(node.links.length, "link") : "", node.note ?? ""].filter(Boolean).join(", ")),
    tableOf(all.slice(0, 12).map(([key, value]) => [key, shown(value).slice(0, 120)])),
    rest > 0 ? make("div.muted", {}, `and ${rest} more: click to pin`) : "",
  );
}

function placeTip(tip, x, y) {
  tip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = tip;
  tip.style.left = `${Math.max(4, x + 16 + width > innerWidth ? x - width - 12 : x + 16)}px`;
  tip.style.top = `${Math.max(4, y + 18 + height > innerHeight ? y - height - 10 : y + 18)}px`;
}

const EVENTS_AT_ONCE = 200;

/** The events as a list that opens; long lists grow when asked. */
function eventList(model, node) {
  const list = make("div", {});
  const more = make("button", { type: "button" });
  let next = 0;
  const grow = () => {
    for (const [name, at, numbers] of node.events.slice(next, next + EVENTS_AT_ONCE)) {
      const item = make("details", {}, make("summary", {}, make("span.mono", {}, clockOf(model.base, at)), make("span", {}, model.texts[name]), make("span.muted", {}, `+${lengthOf(at - node.start)}`)));
      item.addEventListener("toggle", () => item.children.length > 1 || item.append(tableOf(model.attributesOf(numbers))));
      list.append(item);
    }
    next += EVENTS_AT_ONCE;
    more.hidden = next >= node.events.length;
    more.textContent = `Show more (${(node.events.length - next).toLocaleString("en")} left)`;
  };
  more.addEventListener("click", grow);
  grow();
  return [list, more];
}

/** Fill the panel with all there is about a span; `go` moves to another span. */
function fillPanel(panel, model, node, go, close) {
  const above = model.nodes[node.parent];
  const children = [];
  for (let i = node.index + 1; i < node.last && children.length < 20; i = model.nodes[i].last) children.push(model.nodes[i]);
  const goTo = (target, prefix) => make("button.go", { type: "button", onclick: () => go(target) }, `${prefix}${target.name}`);
  const links = node.links.map(([traceId, id, numbers]) => {
    const target = model.bySpan.get(`${traceId}/${id}`);
    return make("div", {}, target ? goTo(target, "Go to ") : "A span outside this page", tableOf([["trace id", traceId], ["span id", id], ...model.attributesOf(numbers)]));
  });
  const badges = badgesOf(node.marks);
  const why = badges.filter(([, , code]) => model.meanings[code]).map((badge) => make("li", {}, badgeOf(badge), ` ${model.meanings[badge[2]]}`));
  if (typeof node.marks.error === "string" && node.marks.error !== "error") why.push(make("li.error", {}, node.marks.error));
  panel.replaceChildren(
    make("div.top", {}, make("h2", {}, node.name), make("button", { type: "button", onclick: close, title: "Close ( Esc )", ariaLabel: "Close" }, "\u2715")),
    make("div.muted", {}, spanTimes(model, node)),
    make("div", {}, serviceOf(model, node)),
    why.length ? make("ul.why", {}, ...why) : "",
    node.note ? make("p.muted", {}, `Stands as a root: ${node.note}.`) : "",
    make("h3", {}, "Ids"),
    tableOf([["trace id", node.traceId], ["span id", node.id]]),
    make("h3", {}, `Attributes (${node.attributes.length})`),
    tableOf(model.attributesOf(node.attributes)),
    make("h3", {}, `Events (${node.events.length.toLocaleString("en")})`),
    ...(node.events.length ? eventList(model, node) : [make("p.muted", {}, "None.")]),
    ...(links.length ? [make("h3", {}, `Links (${links.length})`), ...links] : []),
    ...(above?.id !== undefined || children.length ? [make("h3", {}, "Family")] : []),
    above?.id !== undefined ? goTo(above, "Up to ") : "",
    ...children.map((child) => goTo(child, "")),
  );
  panel.hidden = false;
  panel.scrollTop = 0;
}

const KEYS = [
  ["\u2191 \u2193", "row above, below (Page Up, Page Down, Home, End too)"],
  ["\u2190 \u2192", "fold or go up, unfold or go down"],
  ["Enter", "pin the row\u2019s details; Esc closes them"],
  ["f", "zoom to the row (or double click)"],
  ["+ \u2212", "zoom (w and s too)"],
  ["a d", "move left, right in time"],
  ["0", "show the whole time"],
  ["/", "search"],
  ["Ctrl wheel", "zoom at the pointer; plain wheel on the time axis and the overview"],
  ["Shift wheel", "move in time"],
  ["Drag", "move; with Shift, or on the axis and the overview, zoom to what you drag over"],
];
const SAMPLES = [
  ["finished flow; ticks are its events", {}],
  ["unfinished: torn, hatched end", { unfinished: "idle" }],
  ["breaks a nesting rule: red outline", { violations: ["x"] }],
  ["changed by --policy repair: wedge below", { repairs: ["x"] }],
  ["made by --policy repair: dashed", { synthetic: true, repairs: ["x"] }],
  ["an ERROR inside", { error: true }],
  ["instant: a lone event, or a request without a duration", { instant: true }],
];

function fillLegend(dialog, theme) {
  const samples = SAMPLES.map(([text, marks]) => [make("canvas", {}), text, marks]);
  const rows = samples.map(([canvas, text]) => make("tr", {}, make("td", {}, canvas), make("td", {}, text)));
  dialog.replaceChildren(
    make("div.columns", {},
      make("div", {}, make("h2", {}, "Keys"), make("table", {}, ...KEYS.map(([keys, text]) => make("tr", {}, make("th", {}, make("kbd", {}, keys)), make("td", {}, text))))),
      make("div", {}, make("h2", {}, "Marks"), make("table", {}, ...rows))),
    make("form", { method: "dialog" }, make("button", { autofocus: true }, "Close")),
  );
  dialog.showModal();
  for (const [canvas, , marks] of samples) {
    const [c] = contextOf(canvas);
    paintSpan(c, theme, marks, theme.services[0], marks.instant ? 36 : 6, 72, 7, marks.instant);
    if (!marks.instant) paintTicks(c, tickColour(theme, marks), [[0, 18], [0, 30], [0, 33]], (at) => at, 6, 72, 7);
  }
}

function fillRefused(model) {
  if (!model.refused.length) return;
  const total = model.refused.reduce((sum, [, count]) => sum + count, 0);
  const box = byId("refused");
  box.hidden = false;
  box.querySelector("summary").textContent = `Refused: ${total.toLocaleString("en")} (${model.refused.map(([code, count]) => `${code} ${count.toLocaleString("en")}`).join(", ")})`;
  box.querySelector("table").replaceChildren(
    make("tr", {}, ...["code", "count", "first at", "first example", "what to do"].map((text) => make("th", { scope: "col" }, text))),
    ...model.refused.map(([code, count, place, example]) => make("tr", {}, ...[code, count.toLocaleString("en"), place, example, model.meanings[code] ?? ""].map((text) => make("td", {}, text)))),
  );
}
