// The filters above the chart, and the rows of names beside it.

/** Fill one drop-down; its first entry is no filter. */
function fillSelect(select, all, entries) {
  select.replaceChildren(make("option", { value: "" }, all), ...entries.map(([value, text]) => make("option", { value }, text)));
  select.disabled = entries.length === 0;
}

function sessionEntries(model) {
  const sessions = new Map();
  for (const { session, start } of model.spans) {
    if (!session) continue;
    const known = sessions.get(session);
    if (known) [known.count, known.start] = [known.count + 1, Math.min(known.start, start)];
    else sessions.set(session, { count: 1, start });
  }
  return [...sessions]
    .sort((a, b) => a[1].start - b[1].start)
    .map(([id, { count, start }]) => [id, `${momentOf(model.base, start).slice(0, 16)}  ${shortId(id)}  (${count.toLocaleString("en")})`]);
}

function chip(text, count, pressed) {
  const button = make("button.chip", { type: "button", ariaPressed: "false" }, text, make("span.count", {}, count.toLocaleString("en")));
  button.addEventListener("click", () => {
    button.ariaPressed = String(button.ariaPressed !== "true");
    pressed(button.ariaPressed === "true");
  });
  return button;
}

/** Set up all filters; `changed(fit)` is called after each change. */
function setUpFilters(model, filters, changed) {
  const flip = (set, value) => (on) => {
    on ? set.add(value) : set.delete(value);
    changed(false);
  };
  const counted = (key) => countsOf(model.spans.map((node) => node[key])).map(([value, count]) => [value, `${value} (${count.toLocaleString("en")})`]);
  fillSelect(byId("session"), "all", sessionEntries(model));
  fillSelect(byId("workflow"), "all", counted("workflow"));
  fillSelect(byId("type"), "all", counted("type"));
  for (const name of ["session", "workflow", "type"]) {
    byId(name).addEventListener("change", ({ target }) => {
      filters[name] = target.value;
      // A session is a stretch of time; the others are spread over all of it.
      changed(name === "session");
    });
  }
  let typing;
  byId("search").addEventListener("input", ({ target }) => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      filters.search = target.value;
      changed(false);
    }, 120);
  });
  for (const [mark, label, test] of MARKS) {
    const count = model.spans.filter((node) => test(node.marks)).length;
    if (count) byId("only").append(chip(make(`span.${mark}`, {}, label), count, flip(filters.only, mark)));
  }
  const perService = countsOf(model.spans.map((node) => model.services[node.service][0] || " "));
  perService.forEach(([name, count], rank) => {
    const dot = make("span.dot", {});
    dot.style.background = `var(--s${rank % HUES})`;
    byId("services").append(chip(make("span.chip", {}, dot, name.trim() || "(no service name)"), count, flip(filters.services, name.trim())));
  });
  // One hue a service, whatever its versions; the most frequent get the most distinct ones.
  const rank = new Map(perService.map(([name], index) => [name.trim(), index % HUES]));
  model.hueOf = model.services.map(([name]) => rank.get(name) ?? 0);
  byId("clear").addEventListener("click", () => {
    Object.assign(filters, { search: "", session: "", workflow: "", type: "" });
    filters.only.clear();
    filters.services.clear();
    for (const name of ["search", "session", "workflow", "type"]) byId(name).value = "";
    for (const button of document.querySelectorAll(".chip[aria-pressed]")) button.ariaPressed = "false";
    changed(true);
  });
}

/** Fill one row of names; rows are used again as the list scrolls. */
function fillRow(row, model, view, node, y, folded) {
  const trace = node.id === undefined;
  const parts = [];
  const foldable = node.last > node.index + 1;
  const turn = make("button.turn", { type: "button", tabIndex: -1 }, foldable ? (folded ? "\u25b6" : "\u25bc") : "");
  turn.setAttribute("aria-hidden", "true");
  turn.disabled = !foldable;
  parts.push(turn);
  const hidden = node.last - node.index - 1;
  if (trace) {
    const one = (role) => (node[role].size === 1 ? `${role} ${shortId([...node[role]][0])}` : node[role].size ? `${node[role].size} ${role}s` : "");
    parts.push(make("span.name", {}, momentOf(model.base, node.start).slice(0, 16)));
    const whose = [one("session"), one("device")].filter(Boolean);
    parts.push(make("span.of", {}, [...(whose.length ? whose : node.services), plural(node.spans, "span")].join(", ")));
  } else {
    const dot = make("span.dot", {});
    dot.style.background = `var(--s${model.hueOf[node.service]})`;
    parts.push(dot, make("span.name", {}, node.name), make("span.of", {}, node.object ?? (node.note ? `(${node.note})` : "")));
    // Room is short: one badge a kind, all of them stand in the tip.
    const told = new Map();
    for (const [kind, text] of badgesOf(node.marks)) told.set(kind, told.has(kind) ? [told.get(kind)[0], told.get(kind)[1] + 1] : [text, 1]);
    for (const [kind, [text, count]] of told) if (kind !== "quiet") parts.push(badgeOf([kind, count > 1 ? `${text} +${count - 1}` : kind === "error" ? "!" : text.replace("unfinished: ", "")]));
  }
  if (folded) parts.push(make("span.badge.quiet", { title: "folded" }, `+${hidden.toLocaleString("en")}`));
  row.replaceChildren(...parts);
  row.id = `row-${node.index}`;
  row.className = ["row", trace ? "trace" : "", node.marks.instant ? "instant" : "", view.passed && !trace && !view.passed[node.index] ? "context" : "", node === view.active ? "active" : "", node === view.over ? "over" : ""].filter(Boolean).join(" ");
  row.style.top = `${y}px`;
  // Deep nesting must not push the names out of sight.
  row.style.paddingLeft = `${4 + Math.min(node.depth, 14) * 14}px`;
  row.setAttribute("aria-level", node.depth + 1);
  row.setAttribute("aria-selected", node === view.active);
  if (foldable) row.setAttribute("aria-expanded", !folded);
  else row.removeAttribute("aria-expanded");
}
