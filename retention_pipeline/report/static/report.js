// The page of the report: reads the figures that the file carries, and draws the views for what the filters say.
// Text from data only ever becomes a text node; figures are shown as published, rounded for reading alone.

const DATA = JSON.parse(document.getElementById("data").textContent);
const { meta, words, figures } = DATA;

async function unpacked(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Kind(await new Response(stream).arrayBuffer());
}

const { series: packedSeries, ...packedTables } = JSON.parse(new TextDecoder().decode(await unpacked(DATA.packed, Uint8Array)));
Object.assign(DATA, packedTables);
figures.series = packedSeries;
const GRAINS = ["week", "month", "quarter", "year"];
const ABSENT = meta.statuses.indexOf("absent");
const definitions = new Map(DATA.tables.definitions.map((row) => [row.kpi, row]));
const w = (key) => words[key] ?? key;

// ---- reading the figures -------------------------------------------------------------------------------------------

const columns = {};
for (const [name, text] of Object.entries(figures.columns)) {
  columns[name] = await unpacked(text, name === "status" ? Uint8Array : Float64Array);
}

const seriesOf = new Map();
{
  const { kpi, grain, basis, segment, first, count } = figures.series;
  let offset = 0;
  for (let i = 0; i < kpi.length; i += 1) {
    seriesOf.set([figures.kpis[kpi[i]], grain[i], basis[i], segment[i]].join("|"), { first: first[i], count: count[i], offset });
    offset += count[i];
  }
}

/** The basis under which a KPI has rows, given the one that is chosen. */
function basisOf(kpi, chosen) {
  const bases = (definitions.get(kpi)?.bases ?? "").split(", ");
  return bases.includes(chosen) ? chosen : bases[0];
}

/** One figure: value, numerator, denominator, n, low, high, status; `status` absent where there is no row. */
function figure(kpi, { grain, basis, segment }, at) {
  const series = seriesOf.get([kpi, grain, basisOf(kpi, basis), segment].join("|"));
  const inside = series && at >= series.first && at < series.first + series.count;
  if (!inside) return { value: NaN, status: "absent" };
  const i = series.offset + at - series.first;
  return {
    value: columns.value[i] === Infinity ? columns.numerator[i] / columns.denominator[i] : columns.value[i],
    numerator: columns.numerator[i], denominator: columns.denominator[i], n: columns.n[i],
    low: columns.ci_low[i], high: columns.ci_high[i], status: meta.statuses[columns.status[i]],
  };
}

function history(kpi, state) {
  return figures.periods[state.grain].map(([start, end, complete], at) => ({ start, end, complete, at, ...figure(kpi, state, at) }));
}

const hasValues = (kpi, state) => history(kpi, state).some((one) => Number.isFinite(one.value));

// ---- writing figures -----------------------------------------------------------------------------------------------

/** A number in the reader's language; what rounds to nothing has no sign. */
const number = (value, options) => new Intl.NumberFormat(meta.locale, { signDisplay: "negative", ...options }).format(value);

function shown(kpi, value, { short = false } = {}) {
  const form = definitions.get(kpi)?.format ?? "decimals";
  if (!Number.isFinite(value)) return "–";
  switch (form) {
    case "percent": return number(value, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
    case "money": {
      const digits = short || Math.abs(value) >= 1000 ? 0 : 2;
      return number(value, { style: "currency", currency: meta.currency, minimumFractionDigits: digits, maximumFractionDigits: digits });
    }
    case "count": return number(value, { maximumFractionDigits: 1 });
    case "points": return number(value, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    case "days": case "hours": case "minutes": case "years":
      return `${number(value, { maximumFractionDigits: 1 })} ${w(form)}`;
    default: return number(value, { maximumFractionDigits: 2 });
  }
}

/** The change of a figure in words and its direction: points for shares, per cent for amounts, else the difference. */
function change(kpi, now, before) {
  if (!Number.isFinite(now) || !Number.isFinite(before)) return null;
  const { format, better } = definitions.get(kpi);
  const signed = (value, options) => number(value, { signDisplay: "exceptZero", maximumFractionDigits: 1, ...options });
  let text, amount;
  if (format === "percent") [amount, text] = [(now - before) * 100, `${signed((now - before) * 100, { maximumFractionDigits: Math.abs(now - before) < 0.001 ? 2 : 1 })} pp`];
  else if (["money", "count"].includes(format) && before !== 0) {
    amount = (now / before - 1) * Math.sign(before);
    text = signed(amount, { style: "percent" });
  } else [amount, text] = [now - before, signed(now - before, { maximumFractionDigits: 2 })];
  if (now === before) return { text: w("no_change"), tone: "" };
  const good = better === "neither" ? null : (amount > 0) === (better === "higher");
  return { text: good === null ? text : `${text} ${good ? w("better") : w("worse")}`, tone: good === null ? "" : good ? "good" : "bad" };
}

/** The business day of an instant, given in UTC. */
function momentDay(instant) {
  return new Intl.DateTimeFormat(meta.locale, { timeZone: meta.timezone, day: "numeric", month: "short", year: "numeric" }).format(new Date(`${instant}Z`));
}

function periodName(grain, start) {
  const day = new Date(`${start}T00:00:00Z`);
  const form = (options) => new Intl.DateTimeFormat(meta.locale, { timeZone: "UTC", ...options }).format(day);
  if (grain === "month") return form({ month: "short", year: "numeric" });
  if (grain === "year") return start.slice(5) === "01-01" ? start.slice(0, 4) : form({ month: "short", year: "numeric" }) + " +12";
  if (grain === "quarter") return form({ month: "short", year: "numeric" }) + " +3";
  return form({ day: "numeric", month: "short", year: "numeric" });
}

const segmentName = (index) => (index === 0 ? w("everyone") : figures.segments[index].join(": "));

// ---- small helpers for the page ------------------------------------------------------------------------------------

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A table from a head and rows; a cell is a text or {text, ...attributes}; the first of a row is its head. */
function tableOf(head, rows, attributes = {}) {
  const cell = (name, given, more = {}) => {
    const { text, ...rest } = given !== null && typeof given === "object" && !(given instanceof Node) ? given : { text: given };
    return element(name, { ...more, ...rest }, text ?? "");
  };
  // a head stands above its column: texts on the left, numbers on the right
  const isText = (i) => i === 0 || String(rows[0]?.[i]?.class ?? "").split(" ").includes("text");
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": attributes.label ? `${attributes.label}, ${w("as_table")}` : w("table") },
    element("table", { class: attributes.class ?? null },
      element("thead", {}, element("tr", {}, ...head.map((one, i) => cell("th", one, { scope: "col", class: isText(i) ? "text" : null })))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((one, i) => (i ? cell("td", one) : cell("th", one, { scope: "row" }))))))));
}

function download(name, rows) {
  const guarded = (value) => (/^[=+\-@\t\r]/.test(value) && !/^-?[\d.]+(e[+-]?\d+)?$/i.test(value) ? `'${value}` : value);
  const quoted = (value) => `"${guarded(String(value ?? "")).replaceAll('"', '""')}"`;
  const text = rows.map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
  const link = element("a", { download: `${name}.csv`, href: URL.createObjectURL(new Blob([text], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Rows of KPIs over time as they are published, for CSV. */
function csvOf(kpis, state) {
  const head = ["kpi", "grain", "period_start", "period_end", "basis", "segment_dimension", "segment_value", "value", "numerator", "denominator", "n", "ci_low", "ci_high", "is_complete", "null_reason"];
  const plain = (value) => (Number.isFinite(value) ? String(value) : "");
  return [head, ...kpis.flatMap((kpi) => history(kpi, state).filter((one) => one.status !== "absent").map((one) => [
    kpi, state.grain, one.start, one.end, basisOf(kpi, state.basis), ...figures.segments[state.segment], plain(one.value), plain(one.numerator),
    plain(one.denominator), plain(one.n), plain(one.low), plain(one.high), one.complete, one.status === "ok" ? "" : one.status]))];
}

const isDark = () => document.documentElement.dataset.theme === "dark";

/** The specification with a mark on the axis of time for each period, where they are few (charts.py). */
function withFewStarts(spec, rows) {
  const days = [...new Set(rows.map((row) => row.start))].map((start) => Date.parse(`${start}T00:00:00Z`));
  if (!days.length || days.length > meta.few_starts || days.some(Number.isNaN)) return spec;
  const marked = (part) => {
    if (part.layer) return { ...part, layer: part.layer.map(marked) };
    const time = part.encoding.x;
    return { ...part, encoding: { ...part.encoding, x: { ...time, axis: { ...time.axis, values: { expr: JSON.stringify(days) } } } } };
  };
  return marked(spec);
}

async function draw(place, spec, rows) {
  const ink = isDark() ? "#e8ebee" : "#1c2430", line = isDark() ? "#36404a" : "#d9dde2";
  const config = {
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11 },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 11 }, text: { color: ink }, view: { stroke: null }, font: "system-ui, sans-serif",
  };
  const filled = { ...withFewStarts(spec, rows), config, data: { name: "rows", values: rows } };
  const options = { renderer: "svg", ast: true, actions: false, formatLocale: DATA.formats.number, timeFormatLocale: DATA.formats.time };
  await window.vegaEmbed(place, filled, options);
  place.querySelector("svg")?.setAttribute("aria-hidden", "true"); // the table below the chart says the same
}

/** A chart with its caption and, folded below it, its figures as a table. */
async function chart(title, spec, rows, table) {
  const place = element("div", { class: "chart" });
  const made = element("figure", {}, element("figcaption", {}, title), place, element("details", {}, element("summary", {}, w("table")), table));
  pending.push(async () => draw(place, spec, rows));
  return made;
}

let pending = [];

// ---- state: the filters, kept in the address -----------------------------------------------------------------------

const bases = ["any", "subscription", "order"].filter((basis) => figures.series.basis.includes(basis));
const grains = GRAINS.filter((grain) => figures.periods[grain].length);

function lastComplete(grain) {
  const at = figures.periods[grain].findLastIndex((period) => period[2]);
  return at < 0 ? figures.periods[grain].length - 1 : at;
}

function stateFromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const grain = grains.includes(asked.get("by")) ? asked.get("by") : grains.includes("month") ? "month" : grains[0] ?? "month";
  const at = figures.periods[grain].findIndex((period) => period[0] === asked.get("period"));
  const segment = figures.segments.findIndex(([dimension, value]) => dimension === asked.get("dimension") && value === asked.get("value"));
  return {
    grain, at: at < 0 ? lastComplete(grain) : at, segment: Math.max(segment, 0),
    basis: bases.includes(asked.get("basis")) ? asked.get("basis") : bases[0] ?? "all",
    compare: asked.get("compare") === "year" ? "year" : "previous", league: asked.get("league"), cohort: asked.get("cohort") ?? "customers.percent",
  };
}

let state = stateFromAddress();

function set(changes) {
  const next = { ...state, ...changes };
  if (changes.grain && changes.grain !== state.grain) next.at = lastComplete(next.grain);
  const [dimension, value] = figures.segments[next.segment];
  const parts = { by: next.grain, period: figures.periods[next.grain][next.at]?.[0], basis: next.basis, dimension, value, compare: next.compare, cohort: next.cohort };
  if (next.league) parts.league = next.league;
  history_replace(`#${new URLSearchParams(parts)}`);
  state = next;
  show();
}

function history_replace(hash) {
  window.history.replaceState(null, "", hash);
}

addEventListener("hashchange", () => { state = stateFromAddress(); show(); });

function comparedAt() {
  if (state.compare === "previous") return state.at - 1;
  const start = figures.periods[state.grain][state.at]?.[0];
  if (!start) return -1;
  if (state.grain === "week") return state.at - 52;
  const before = `${Number(start.slice(0, 4)) - 1}${start.slice(4)}`;
  return figures.periods[state.grain].findIndex((period) => period[0] === before);
}

// ---- header and filters --------------------------------------------------------------------------------------------

function showHeader() {
  document.getElementById("skip").textContent = w("skip");
  const stale = DATA.tables.marks.length > 0;
  document.getElementById("header").replaceChildren(
    element("h1", {}, meta.title),
    element("p", {}, `${w("as_of")} ${meta.as_of} · ${w("generation")} ${meta.generation} · ${w("time_zone")} ${meta.timezone}`),
    element("button", { class: "theme", type: "button", onclick: () => {
      const dark = isDark() ? "light" : "dark";
      document.documentElement.dataset.theme = dark;
      show();
    } }, w("theme")),
    element("p", { class: stale ? "note warn" : "note" }, stale ? w("quality_bad") : w("quality_fine")));
}

function chooser(label, options, chosen, onchange) {
  const id = `filter-${label}`;
  return element("label", { for: id }, w(label), element("select", { id, onchange: (event) => onchange(event.target.value) },
    ...options.map(([value, text]) => element("option", { value, selected: String(value) === String(chosen) }, text))));
}

function showFilters() {
  const focused = document.activeElement?.id;
  const periods = figures.periods[state.grain].map(([start, , complete], at) => [at, periodName(state.grain, start) + (complete ? "" : ` (${w("incomplete")})`)]).reverse();
  const segments = figures.segments.map((_, index) => [index, segmentName(index)]);
  document.getElementById("filters").replaceChildren(
    element("h2", { id: "filters-title" }, w("filters")),
    ...(bases.length > 1 ? [chooser("basis", bases.map((basis) => [basis, w(basis)]), state.basis, (basis) => set({ basis }))] : []),
    chooser("grain", grains.map((grain) => [grain, w(grain === "year" ? "year_grain" : grain)]), state.grain, (grain) => set({ grain })),
    chooser("period", periods, state.at, (at) => set({ at: Number(at) })),
    ...(segments.length > 1 ? [chooser("segment", segments, state.segment, (segment) => set({ segment: Number(segment) }))] : []),
    chooser("compare", [["previous", w("previous")], ["year", w("year")]], state.compare, (compare) => set({ compare })));
  if (focused) document.getElementById(focused)?.focus();
}

// ---- tiles and the dialog of a figure ------------------------------------------------------------------------------

function sparkline(kpi) {
  const values = history(kpi, state).slice(Math.max(0, state.at - 23), state.at + 1);
  const known = values.filter((one) => Number.isFinite(one.value));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (known.length < 2) return svg;
  const low = Math.min(...known.map((one) => one.value)), high = Math.max(...known.map((one) => one.value));
  const x = (i) => (100 * i) / Math.max(values.length - 1, 1), y = (value) => 28 - (26 * (value - low)) / (high - low || 1);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  let path = "", pen = "M";
  values.forEach((one, i) => {
    if (!Number.isFinite(one.value)) { pen = "M"; return; }
    path += `${pen}${x(i).toFixed(2)} ${y(one.value).toFixed(2)}`;
    pen = "L";
  });
  line.setAttribute("d", path);
  for (const [key, value] of [["fill", "none"], ["stroke", "currentColor"], ["stroke-width", "1.6"], ["vector-effect", "non-scaling-stroke"]]) line.setAttribute(key, value);
  svg.style.color = "var(--accent)";
  svg.append(line);
  return svg;
}

function targetOf(kpi) {
  const [dimension, value] = figures.segments[state.segment];
  return DATA.tables.attainment.find((row) => row.kpi === kpi && row.grain === state.grain && row.basis === basisOf(kpi, state.basis)
    && row.segment_dimension === dimension && row.segment_value === value);
}

function benchmarkOf(kpi) {
  const start = figures.periods[state.grain][state.at]?.[0];
  return state.segment === 0 ? DATA.tables.benchmarks.find((row) => row.kpi === kpi && row.grain === state.grain && row.period_start === start && row.basis === basisOf(kpi, state.basis)) : undefined;
}

function tile(definition) {
  const { kpi } = definition;
  const now = figure(kpi, state, state.at), before = figure(kpi, state, comparedAt());
  const moved = change(kpi, now.value, before.value);
  const complete = figures.periods[state.grain][state.at]?.[2];
  const target = targetOf(kpi), benchmark = benchmarkOf(kpi);
  const details = [];
  if (!Number.isFinite(now.value)) details.push(w(now.status));
  if (Number.isFinite(now.low)) details.push(`${shown(kpi, now.low)} – ${shown(kpi, now.high)}`);
  if (Number.isFinite(now.n)) details.push(`n ${number(now.n)}`);
  if (target) details.push(`${w("target")} ${shown(kpi, target.target)} (${w(target.status ?? "status")})`);
  if (benchmark) details.push(`${w("benchmark")} ${shown(kpi, benchmark.benchmark)}`);
  return element("button", { class: "tile", type: "button", "data-kpi": kpi, onclick: () => openFigure(kpi) },
    element("span", { class: "label" }, definition.label),
    element("span", { class: "value" }, shown(kpi, now.value), complete ? null : element("span", { class: "mark" }, w("incomplete"))),
    moved ? element("span", { class: `detail ${moved.tone}` }, `${moved.text} (${shown(kpi, before.value)})`) : null,
    details.length ? element("span", { class: "detail" }, details.join(" · ")) : null, sparkline(kpi));
}

async function openFigure(kpi) {
  const definition = definitions.get(kpi), dialog = document.getElementById("dialog");
  const now = figure(kpi, state, state.at), opener = document.activeElement;
  const facts = [
    ["definition", definition.definition], ["value", `${shown(kpi, now.value)}${Number.isFinite(now.value) ? "" : ` (${w(now.status)})`}`],
    ["numerator", Number.isFinite(now.numerator) ? `${number(now.numerator, { maximumFractionDigits: 6 })}  =  ${definition.numerator}` : definition.numerator],
    ["denominator", Number.isFinite(now.denominator) ? `${number(now.denominator, { maximumFractionDigits: 6 })}  =  ${definition.denominator}` : definition.denominator],
    ["interval", Number.isFinite(now.low) ? `${shown(kpi, now.low)} – ${shown(kpi, now.high)}` : null],
    ["settings", definition.settings], ["version", definition.definition_version], ["unit", definition.unit],
  ].filter(([, text]) => text !== null && text !== undefined && text !== "");
  pending = [];
  const rows = lineRows([kpi]);
  const trend = await chart(definition.label, linesFor(kpi, rows), rows, historyTable([kpi]));
  dialog.replaceChildren(
    element("h2", { id: "dialog-title" }, definition.label),
    element("dl", {}, ...facts.flatMap(([name, text]) => [element("dt", {}, w(name)), element("dd", {}, String(text))])), trend,
    element("p", { class: "tools" },
      element("button", { type: "button", onclick: () => download(kpi, csvOf([kpi], state)) }, w("csv")), " ",
      element("button", { type: "button", onclick: () => dialog.close() }, w("close"))));
  dialog.onclose = () => opener?.focus();
  dialog.showModal();
  await Promise.all(pending.map((one) => one()));
}

// ---- views ---------------------------------------------------------------------------------------------------------

/** The specification for lines of a KPI's format, with a band where a row has an interval. */
function linesFor(kpi, rows) {
  const kind = rows.some((row) => row.low !== undefined) ? "lines_with_interval" : "lines";
  const form = definitions.get(kpi).format;
  return DATA.charts[kind][form] ?? DATA.charts[kind].decimals;
}

function lineRows(kpis) {
  return kpis.flatMap((kpi) => history(kpi, state).filter((one) => Number.isFinite(one.value)).map((one) => ({
    start: one.start, series: definitions.get(kpi).label, value: one.value, complete: one.complete, period: periodName(state.grain, one.start),
    text: shown(kpi, one.value), ...(Number.isFinite(one.low) ? { low: one.low, high: one.high } : {}) })));
}

function historyTable(kpis) {
  const rows = figures.periods[state.grain].map(([start, , complete], at) => [
    periodName(state.grain, start) + (complete ? "" : " *"), ...kpis.map((kpi) => { const one = figure(kpi, state, at); return Number.isFinite(one.value) ? shown(kpi, one.value) : w(one.status); })]).reverse();
  return tableOf([w("period_label"), ...kpis.map((kpi) => definitions.get(kpi).label)], rows);
}

function section(view, ...children) {
  return element("section", { id: `view-${view.id}`, "aria-labelledby": `title-${view.id}` },
    element("h2", { id: `title-${view.id}` }, w(`view.${view.id}`)), ...children);
}

/** Rows of a table of the payload for CSV, as they are. */
const csvOfRows = (rows) => [Object.keys(rows[0]), ...rows.map(Object.values)];
const csvButton = (name, rows) => element("div", { class: "tools" }, element("button", { type: "button", onclick: () => download(name, rows()) }, w("csv")));

const KINDS = {
  async lines(view) {
    const groups = view.kpis.map((kpis) => kpis.filter((kpi) => definitions.has(kpi) && hasValues(kpi, state))).filter((kpis) => kpis.length);
    if (!groups.length) return null;
    const charts = [];
    for (const kpis of groups) {
      const title = kpis.map((kpi) => definitions.get(kpi).label).join(" · ");
      const rows = lineRows(kpis);
      charts.push(await chart(title, linesFor(kpis[0], rows), rows, historyTable(kpis)));
    }
    return section(view, csvButton(view.id, () => csvOf(groups.flat(), state)), element("div", { class: "charts" }, ...charts));
  },

  async bridge(view) {
    const kpis = view.kpis[0].filter((kpi) => definitions.has(kpi) && hasValues(kpi, state));
    if (kpis.length < 3) return null;
    const amounts = kpis.map((kpi) => figure(kpi, state, state.at).value);
    const sign = (kpi) => (meta.negative.includes(kpi) ? -1 : 1);
    let reached = 0;
    const bars = kpis.map((kpi, i) => {
      const isTotal = i === 0 || i === kpis.length - 1;
      const amount = (amounts[i] || 0) * sign(kpi), base = isTotal ? 0 : reached;
      const top = isTotal ? amounts[i] || 0 : reached + amount;
      reached = top;
      return { label: w(`bridge.${kpi}`), order: i, base, top, above: Math.max(base, top), kind: isTotal ? "total" : amount < 0 ? "loss" : "gain",
        text: `${isTotal ? "" : amount < 0 ? "−" : "+"}${shown(kpi, amounts[i], { short: true })}` };
    });
    const foot = Math.min(...bars.flatMap((bar) => (bar.kind === "total" ? [bar.top] : [bar.base, bar.top])));
    const start = foot - (Math.max(...bars.map((bar) => bar.top)) - foot) * 0.25;
    const floor = foot > 0 && start > 0 ? start : 0;
    for (const bar of bars) if (bar.kind === "total") bar.base = floor;
    const form = definitions.get(kpis[0]).format === "money" ? "money" : "count";
    const caption = `${periodName(state.grain, figures.periods[state.grain][state.at]?.[0])} · ${segmentName(state.segment)}${floor ? ` · ${w("from_zero")}` : ""}`;
    const table = tableOf([w("kpi"), w("value")], kpis.map((kpi, i) => [definitions.get(kpi).label, bars[i].text]));
    const moves = kpis.slice(1, -1).flatMap((kpi) => history(kpi, state).filter((one) => Number.isFinite(one.value)).map((one) => ({
      start: one.start, series: w(`bridge.${kpi}`), value: one.value * sign(kpi), period: periodName(state.grain, one.start), text: shown(kpi, one.value) })));
    return section(view, csvButton(view.id, () => csvOf(kpis, state)), element("div", { class: "charts" },
      await chart(caption, DATA.charts.waterfall[form], bars, table),
      await chart(kpis.slice(1, -1).map((kpi) => w(`bridge.${kpi}`)).join(" · "), DATA.charts.bars[form], moves, historyTable(kpis))));
  },

  async cohorts(view) {
    const grain = state.grain === "week" ? "month" : state.grain;
    const basis = bases.includes(state.basis) ? state.basis : bases[0];
    const [dimension, value] = figures.segments[state.segment];
    const rows = DATA.cohorts.filter((row) => row[0] === grain && row[1] === basis && row[2] === dimension && row[3] === value);
    if (!rows.length) return null;
    const [what, how] = state.cohort.split(".");
    const ages = [...new Set(rows.map((row) => row[5]))].sort((a, b) => a - b);
    const starts = [...new Set(rows.map((row) => row[4]))].sort().reverse().slice(0, 36);
    const cells = new Map(rows.map((row) => [`${row[4]}|${row[5]}`, row]));
    const share = (row) => (what === "revenue" ? row[9] : row[8]);
    const text = (row) => {
      if (how === "percent") return share(row) === null ? "" : number(share(row), { style: "percent", maximumFractionDigits: 0 });
      const amount = what === "revenue" ? row[10] : row[7];
      return amount === null ? "" : number(amount, { maximumFractionDigits: 0 });
    };
    const mean = (age) => {
      const done = rows.filter((row) => row[5] === age && row[11] && row[8] !== null);
      const size = done.reduce((sum, row) => sum + row[6], 0);
      return size && what === "customers" && how === "percent" ? number(done.reduce((sum, row) => sum + row[8] * row[6], 0) / size, { style: "percent", maximumFractionDigits: 0 }) : "";
    };
    const body = starts.map((start) => [periodName(grain, start), number(cells.get(`${start}|0`)?.[6] ?? rows.find((row) => row[4] === start)[6]),
      ...ages.map((age) => {
        const row = cells.get(`${start}|${age}`);
        if (!row) return "";
        // Between these two ranges neither ink nor white is legible on the colour, in either theme.
        const part = Math.min(Math.max(share(row) ?? 0, 0), 1), isStrong = part > 0.5;
        const strength = isStrong ? 0.85 + (part - 0.5) * 0.3 : part;
        return { text: text(row) + (row[11] ? "" : " *"), class: `cell${row[11] ? "" : " open"}${isStrong ? " strong" : ""}`, style: `--strength: ${strength.toFixed(3)}` };
      })]);
    body.push([w("mean"), "", ...ages.map(mean)]);
    const choice = (part, options) => element("select", { "aria-label": w("view.cohorts"), onchange: (event) => set({ cohort: part === 0 ? `${event.target.value}.${how}` : `${what}.${event.target.value}` }) },
      ...options.map((one) => element("option", { value: one, selected: one === (part === 0 ? what : how) }, w(one))));
    return section(view,
      element("div", { class: "tools" }, choice(0, ["customers", "revenue"]), choice(1, ["percent", "absolute"]),
        element("button", { type: "button", onclick: () => download("cohorts", [["grain", "basis", "segment_dimension", "segment_value", "cohort_start", "age", "cohort_size", "active", "retention_rate", "revenue_retention_rate", "revenue", "is_complete"], ...rows]) }, w("csv"))),
      element("p", { class: "note" }, w("hatched")),
      tableOf([w("cohort"), w("size"), ...ages.map(String)], body, { class: "heat", label: w("view.cohorts") }));
  },

  async survival(view) {
    const basis = bases.includes(state.basis) ? state.basis : bases[0];
    const [dimension, value] = figures.segments[state.segment];
    const chosen = DATA.tables.survival.filter((row) => row.basis === basis && (state.segment === 0
      ? row.segment_dimension === "all" : row.segment_dimension === dimension));
    if (!chosen.length) return null;
    const names = [...new Set(chosen.map((row) => row.segment_value))];
    const named = (name) => state.segment === 0 ? w("everyone") : name;
    const kept = names.includes(value) ? [value, ...names.filter((name) => name !== value)].slice(0, 4) : names.slice(0, 4);
    const rows = chosen.filter((row) => kept.includes(row.segment_value) && row.at_risk >= Math.min(meta.min_n, 30))
      .map((row) => ({ t: row.t, survival: row.survival, low: row.ci_low, high: row.ci_high, series: named(row.segment_value), at_risk: row.at_risk }));
    if (!rows.length) return null;
    const medians = kept.map((name) => { const row = chosen.find((one) => one.segment_value === name); return [named(name), row?.median === null ? w("not_reached") : `${number(row.median)} ${w("days")}`]; });
    return section(view, csvButton("survival", () => [["t", "at_risk", "survival", "ci_low", "ci_high", "series"], ...rows.map((row) => [row.t, row.at_risk, row.survival, row.low, row.high, row.series])]),
      element("div", { class: "charts" }, await chart(`${w("days")} · ${w(basis)}`, DATA.charts.survival, rows, tableOf([w("segment"), w("median")], medians)),
        element("figure", {}, element("figcaption", {}, w("median")), tableOf([w("segment"), w("median")], medians))));
  },

  async lness(view) {
    const grain = state.grain === "week" ? "month" : state.grain;
    const start = grain === state.grain ? figures.periods[grain][state.at]?.[0] : figures.periods[grain][lastComplete(grain)]?.[0];
    const [dimension, value] = figures.segments[state.segment];
    const found = DATA.tables.lness.filter((row) => row.grain === grain && row.period_start === start && row.segment_dimension === dimension && row.segment_value === value);
    if (!found.length) return null;
    const most = Math.max(...DATA.tables.lness.map((row) => row.active_days));
    const counts = new Map(found.map((row) => [row.active_days, row.customers]));
    const rows = Array.from({ length: most }, (_, i) => ({ x: i + 1, value: counts.get(i + 1) ?? 0 }));
    return section(view, csvButton("active_days", () => [["active_days", "customers"], ...rows.map((row) => [row.x, row.value])]), element("div", { class: "charts" },
      await chart(`${w("active_days")} · ${periodName(grain, start)}`, DATA.charts.histogram, rows, tableOf([w("active_days"), w("customers")], rows.map((row) => [row.x, number(row.value)])))));
  },

  async league(view) {
    const dimensions = [...new Set(figures.segments.slice(1).map(([dimension]) => dimension))];
    if (!dimensions.length) return null;
    const kpis = [...definitions.keys()].filter((kpi) => figures.kpis.includes(kpi));
    const kpi = kpis.includes(state.league) ? state.league : kpis.includes("customer_churn_rate") ? "customer_churn_rate" : kpis[0];
    const rows = figures.segments.map(([dimension, value], segment) => ({ dimension, value, segment, now: figure(kpi, { ...state, segment }, state.at), before: figure(kpi, { ...state, segment }, comparedAt()) }))
      .filter((row) => row.now.status !== "absent")
      .sort((a, b) => (b.dimension === "all") - (a.dimension === "all") || (a.dimension < b.dimension ? -1 : a.dimension > b.dimension ? 1 : 0)
        || (Number.isFinite(b.now.value) ? b.now.value : -Infinity) - (Number.isFinite(a.now.value) ? a.now.value : -Infinity));
    const body = rows.map((row) => {
      const moved = change(kpi, row.now.value, row.before.value);
      return [row.segment === 0 ? w("everyone") : `${row.dimension}: ${row.value}`, Number.isFinite(row.now.value) ? shown(kpi, row.now.value) : w(row.now.status),
        { text: moved?.text ?? "", class: moved?.tone || null }, Number.isFinite(row.now.low) ? `${shown(kpi, row.now.low)} – ${shown(kpi, row.now.high)}` : "", Number.isFinite(row.now.n) ? number(row.now.n) : ""];
    });
    const choice = element("select", { "aria-label": w("kpi"), onchange: (event) => set({ league: event.target.value }) },
      ...kpis.map((one) => element("option", { value: one, selected: one === kpi }, definitions.get(one).label)));
    const csv = () => { const [head] = csvOf([], state); return [head, ...rows.flatMap((row) => csvOf([kpi], { ...state, segment: row.segment }).slice(1).filter((one) => one[2] === figures.periods[state.grain][state.at][0]))]; };
    return section(view, element("div", { class: "tools" }, choice, element("button", { type: "button", onclick: () => download("segments", csv()) }, w("csv"))), tableOf([w("segment"), w("value"), w("changed"), w("interval"), "n"], body, { label: w("view.league") }));
  },

  async goals(view) {
    const rows = DATA.tables.attainment;
    if (!rows.length) return null;
    return section(view, csvButton("goals", () => csvOfRows(rows)), tableOf([w("kpi"), w("segment"), w("value"), w("target"), w("progress"), w("due"), w("status")], rows.map((row) => {
      const share = row.progress === null ? null : Math.min(Math.max(row.progress, 0), 1);
      const bar = share === null ? "" : element("progress", { max: 1, value: share, "aria-label": `${w("progress")} ${number(row.progress, { style: "percent" })}` });
      const name = `${definitions.get(row.kpi)?.label ?? row.kpi} (${w(row.grain === "year" ? "year_grain" : row.grain)})`;
      return [name, row.segment_dimension === "all" ? w("everyone") : `${row.segment_dimension}: ${row.segment_value}`, row.value === null ? w("no_value") : shown(row.kpi, row.value),
        `${row.baseline === null ? "" : `${w("baseline")} ${shown(row.kpi, row.baseline)} → `}${shown(row.kpi, row.target)}`, { text: bar, class: "text" }, row.due_on,
        { text: row.status ? w(row.status) : "", class: ["met", "ahead"].includes(row.status) ? "good" : ["missed", "behind"].includes(row.status) ? "bad" : null }];
    }), { label: w("view.goals") }));
  },

  async benchmarks(view) {
    const start = figures.periods[state.grain][state.at]?.[0];
    const rows = DATA.tables.benchmarks.filter((row) => row.grain === state.grain && row.period_start === start && row.basis === basisOf(row.kpi, state.basis));
    if (!rows.length) return null;
    return section(view, csvButton("benchmarks", () => csvOfRows(rows)), tableOf([w("kpi"), w("value"), w("benchmark"), w("gap"), w("source")], rows.map((row) => {
      const moved = change(row.kpi, row.value, row.benchmark);
      return [definitions.get(row.kpi)?.label ?? row.kpi, shown(row.kpi, row.value), shown(row.kpi, row.benchmark), { text: moved?.text ?? "", class: moved?.tone || null }, { text: `${row.source}${row.year ? `, ${row.year}` : ""}`, class: "text" }];
    }), { label: w("view.benchmarks") }));
  },

  async at_risk(view) {
    const rows = DATA.tables.at_risk, named = DATA.tables.customers_at_risk;
    if (!rows.length) return null;
    const money = (value) => (value === null ? "" : number(value, { style: "currency", currency: meta.currency, maximumFractionDigits: 0 }));
    const amounts = (row) => [money(row.mrr), money(row.revenue_12m)], heads = ["MRR", w("revenue_12m")];
    const reasons = (row) => row.reasons.split(",").map((reason) => w(`reason.${reason}`)).join(", ");
    return section(view, csvButton("at_risk", () => csvOfRows(named.length ? named : rows)),
      tableOf([w("reason"), w("customers"), ...heads], rows.map((row) => [w(`reason.${row.reason}`), number(row.customers), ...amounts(row)]), { label: w("view.at_risk") }),
      named.length ? element("details", {}, element("summary", {}, `${w("customers")} (${number(named.length)})`),
        tableOf([w("customer"), w("reason"), ...heads], named.map((row) => [row.customer_id, { text: reasons(row), class: "text" }, ...amounts(row)]), { label: w("customers") })) : null);
  },

  async alerts(view) {
    const rows = DATA.tables.alerts;
    if (!rows.length) return null;
    return section(view, csvButton("alerts", () => csvOfRows(rows)), tableOf([w("rule"), w("alert"), w("since")], rows.map((row) => [
      { text: row.rule, class: "text" }, { text: row.is_seen ? `${row.message} (${w("seen")})` : row.message, class: "text wrap" },
      { text: momentDay(row.opened_at), class: "text" }]), { label: w("view.alerts") }));
  },

  async restatements(view) {
    const rows = DATA.tables.restatements;
    if (!rows.length) return null;
    return section(view, csvButton("restatements", () => csvOfRows(rows)), tableOf([w("kpi"), w("period_label"), w("segment"), w("old"), w("new"), w("cause"), w("reported")], rows.map((row) => [
      definitions.get(row.kpi)?.label ?? row.kpi, periodName(row.grain, row.period_start), row.segment_dimension === "all" ? w("everyone") : `${row.segment_dimension}: ${row.segment_value}`,
      shown(row.kpi, row.old), shown(row.kpi, row.new), { text: w(`cause.${row.cause}`), class: "text" }, { text: momentDay(row.published_at), class: "text" }]), { label: w("view.restatements") }));
  },

  async quality(view) {
    const rows = DATA.tables.quality;
    if (!rows.length) return null;
    const names = Object.keys(rows[0]);
    return section(view, element("details", {}, element("summary", {}, `${w("view.quality")} (${rows.length})`),
      tableOf(names, rows.map((row) => names.map((name) => ({ text: row[name] === null ? "" : String(row[name]), class: typeof row[name] === "number" ? null : "text" }))), { label: w("view.quality") })));
  },

  async definitions(view) {
    const rows = DATA.tables.definitions.filter((row) => figures.kpis.includes(row.kpi));
    return section(view, element("details", {}, element("summary", {}, `${w("view.definitions")} (${rows.length})`), tableOf([w("kpi"), w("name"), w("definition"), w("version")], rows.map((row) => [
      element("button", { type: "button", onclick: () => openFigure(row.kpi) }, row.label), { text: row.kpi, class: "text" }, { text: row.definition, class: "text wrap" }, row.definition_version]), { label: w("view.definitions") })));
  },
};

// ---- showing it all ------------------------------------------------------------------------------------------------

/** The page of a company of which nothing counts yet: what was delivered, and that there are no figures. */
async function showNothing(main) {
  const views = DATA.views.filter((view) => ["alerts", "quality"].includes(view.kind));
  const parts = await Promise.all(views.map((view) => KINDS[view.kind](view)));
  main.replaceChildren(element("section", { id: "view-headline", "aria-labelledby": "title-headline" },
    element("h2", { id: "title-headline" }, w("headline")), element("p", { class: "note" }, w("no_figures"))), ...parts.filter(Boolean));
  main.setAttribute("aria-busy", "false");
}

let round = 0;

async function show() {
  const mine = (round += 1);
  const main = document.getElementById("main");
  main.setAttribute("aria-busy", "true");
  showHeader();
  pending = [];
  if (!grains.length) return showNothing(main);
  showFilters();
  const headline = [...definitions.values()].filter((row) => row.headline_order !== null && figures.kpis.includes(row.kpi)).sort((a, b) => a.headline_order - b.headline_order);
  const parts = [element("section", { id: "view-headline", "aria-labelledby": "title-headline" },
    element("h2", { id: "title-headline" }, `${w("headline")}: ${periodName(state.grain, figures.periods[state.grain][state.at]?.[0])}, ${segmentName(state.segment)}`),
    element("div", { class: "tiles" }, ...headline.map(tile)))];
  for (const view of DATA.views) {
    const made = await KINDS[view.kind](view);
    if (made) parts.push(made);
  }
  if (mine !== round) return;
  const drawings = pending;
  const folded = new Set([...main.querySelectorAll("section > details[open]")].map((one) => one.parentElement.id));
  main.replaceChildren(...parts);
  for (const id of folded) document.getElementById(id)?.querySelector("details")?.setAttribute("open", "");
  await Promise.all(drawings.map((one) => one()));
  if (mine === round) main.setAttribute("aria-busy", "false");
}

if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.dataset.theme = "dark";
await show();
