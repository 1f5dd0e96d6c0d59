// The page: its figures, its colours, its tables; the browser of the spikes where there are any.
let charts = null, views = [], pairs = null;

function sortBy(table, header) {
  const down = header.getAttribute("aria-sort") === "descending";
  for (const other of table.tHead.querySelectorAll("th")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", down ? "ascending" : "descending");
  const column = header.cellIndex, sign = down ? 1 : -1;
  const value = (element) => {
    const text = element.cells[column].textContent;
    const number = parseFloat(text.replaceAll(",", ""));
    return column === 0 ? text : Number.isNaN(number) ? -Infinity : number;
  };
  const compare = column === 0 ? (a, b) => value(a).localeCompare(value(b), "en", { numeric: true }) : (a, b) => value(a) - value(b);
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => sign * compare(a, b)));
}

function theme() {
  const chosen = document.documentElement.dataset.chosen;
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const says = `Colours: ${chosen ? chosen : "as the system"}`;
  byId("theme").title = says;
  byId("theme").setAttribute("aria-label", says);
  wear(dark);
}

// The page's colours and those of its figures; which of them were chosen is the caller's matter.
function wear(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  if (charts) recolourCharts(charts, dark);
  if (figures) figures.recolour(dark);
}

function nextTheme() {
  const order = [undefined, "light", "dark"];
  const next = order[(order.indexOf(document.documentElement.dataset.chosen) + 1) % order.length];
  if (next) document.documentElement.dataset.chosen = next;
  else delete document.documentElement.dataset.chosen;
  theme();
}

function listen() {
  byId("theme").addEventListener("click", nextTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
  for (const table of document.querySelectorAll("table.sortable")) {
    table.tHead.addEventListener("click", (event) => event.target.closest("button") && sortBy(table, event.target.closest("th")));
  }
  for (const button of document.querySelectorAll("button[data-chart]")) {
    const name = button.dataset.chart;
    button.addEventListener("click", () => download(fileName("csv", name), figureCsv(name)));
  }
  for (const button of document.querySelectorAll("button[data-image]")) {
    button.addEventListener("click", () => saveImage(button.dataset.image, button.dataset.kind));
  }
}

function figureCsv(name) {
  if (name === "overview") return overviewCsv();
  return name === "pairs" ? pairs.csv() : chartCsv(charts, name);
}

async function start() {
  listen();
  theme();
  if (page.sessions) {
    listenToBrowser();
    showSession(0);
  }
  if (page.mechanism) pairs = openPairs();
  [charts, views] = await openDocument();
  if (page.sessions) {
    figures = openFigures(charts, (place) => showNeuron(place), (text) => { byId("overview-here").textContent = text; });
    figures.showSession(session());
    figures.showNeuron(session(), state.place);
  }
  theme();
  state.ready = true;
  document.documentElement.dataset.ready = performance.now().toFixed(0);  // milliseconds since the page was asked for
}

window.antidrome = { state, figures: () => figures, charts: () => charts, showSession, showNeuron };
start();
