// The spikes: which session and neuron is shown, and everything that can change it.
const state = { session: 0, place: 0, ready: false };
let figures = null;

function session() { return page.sessions[state.session]; }

function showSession(index) {
  state.session = index;
  const select = byId("neuron");
  select.replaceChildren(...session().shown.map((at, place) => new Option(session().neurons[at], place)));
  if (byId("session")) byId("session").value = String(index);
  byId("overview-caption").textContent = session().overview.caption;
  byId("browser-caption").textContent = session().caption;
  byId("ramp-top").textContent = `${format(session().overview.top, 1)} spikes/s`;
  for (const [name, data] of Object.entries(session().histograms)) byId(`${name}-caption`).textContent = data.caption;
  if (figures) figures.showSession(session());
  showNeuron(0);
}

function showNeuron(place) {
  const n = session().shown.length;
  state.place = (place + n) % n;
  const at = session().shown[state.place];
  byId("neuron-title").textContent = session().neurons[at];
  byId("neuron-place").textContent = `${state.place + 1} of ${n}`;
  byId("neuron").value = String(state.place);
  const facts = page.columns.map((column, i) => [column, session().table[i][at]]).filter(([, value]) => value !== null);
  byId("neuron-facts").replaceChildren(...facts.filter(([column]) => column.chip).map(([column, value]) => {
    const item = document.createElement("div"), term = document.createElement("dt"), fact = document.createElement("dd");
    term.textContent = column.title;
    fact.textContent = `${format(value, column.digits)} ${column.unit}`;
    item.append(term, fact);
    return item;
  }));
  for (const rowElement of document.querySelectorAll("tr[aria-current]")) rowElement.removeAttribute("aria-current");
  const here = document.querySelector(`table[data-session="${state.session}"] tr[data-place="${state.place}"]`);
  if (here) here.setAttribute("aria-current", "true");
  if (figures) figures.showNeuron(session(), state.place);
}

function neuronCsv() {
  const { time, bin } = opened(session());
  const titles = { count: "expected_spikes", sd: "expected_spikes_sd", first: "dff_first_extreme", second: "dff_second_extreme",
    probability: "spike_probability_max", baseline: "baseline", truth: "true_spikes" };
  if (session().factor === 1) titles.first = "dff";
  const names = Object.keys(titles).filter((name) => session().channels[name] && !(name === "second" && session().factor === 1));
  const columns = names.map((name) => row(session(), name, state.place));
  const lines = [["time_s", "bin_s", ...names.map((name) => titles[name])].join(",")];
  for (let i = 0; i < time.length; i++) {
    lines.push([time[i].toFixed(6), bin[i].toFixed(6), ...columns.map((c) => (Number.isNaN(c[i]) ? "" : c[i].toPrecision(6)))].join(","));
  }
  return lines.join("\r\n") + "\r\n";
}

// The heat map as it is drawn: one line a row, one column a cell of time (its centre), rates in spikes/s.
function overviewCsv() {
  const { overview, neurons } = session(), { rows, columns, start, end, top } = overview;
  const codes = numbers(byId(overview.island).textContent, "uint8"), width = (end - start) / columns;
  const lines = [["neuron", ...Array.from({ length: columns }, (_, i) => (start + (i + 0.5) * width).toFixed(6))].join(",")];
  rows.forEach((neuron, at) => {
    const cells = Array.from(codes.subarray(at * columns, (at + 1) * columns));
    lines.push([csvCell(neurons[neuron]), ...cells.map((code) => (code === 255 ? "" : ((code / 254) ** 2 * top).toPrecision(4)))].join(","));
  });
  return lines.join("\r\n") + "\r\n";
}

function tableCsv(index) {
  const { neurons, table } = page.sessions[index];
  const lines = [["neuron", ...page.columns.map((c) => `${c.key} (${c.unit})`)].map(csvCell).join(",")];
  neurons.forEach((name, at) => {
    lines.push([csvCell(name), ...table.map((column) => (column[at] === null ? "" : String(column[at])))].join(","));
  });
  return lines.join("\r\n") + "\r\n";
}

function onBrowseKey(event) {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|INPUT|TEXTAREA)$/.test(target.tagName)) return;
  const actions = {
    ArrowLeft: () => (event.shiftKey ? figures?.move(-0.25) : showNeuron(state.place - 1)),
    ArrowRight: () => (event.shiftKey ? figures?.move(0.25) : showNeuron(state.place + 1)),
    "0": () => figures?.zoom(Infinity), "+": () => figures?.zoom(0.5), "=": () => figures?.zoom(0.5), "-": () => figures?.zoom(2),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

function listenToBrowser() {
  byId("previous").addEventListener("click", () => showNeuron(state.place - 1));
  byId("next").addEventListener("click", () => showNeuron(state.place + 1));
  byId("neuron").addEventListener("change", (event) => showNeuron(Number(event.target.value)));
  byId("session")?.addEventListener("change", (event) => showSession(Number(event.target.value)));
  byId("download-neuron").addEventListener("click", () =>
    download(fileName("csv", session().id, session().neurons[session().shown[state.place]]), neuronCsv()));
  for (const button of document.querySelectorAll("button[data-table]")) {
    const index = Number(button.dataset.table);
    button.addEventListener("click", () => download(fileName("csv", page.sessions[index].id, "neurons"), tableCsv(index)));
  }
  for (const table of document.querySelectorAll("table[data-session]")) {
    table.tBodies[0].addEventListener("click", (event) => {
      const place = event.target.closest("button") && event.target.closest("tr").dataset.place;
      if (place === undefined || place === null || place === false) return;
      if (Number(table.dataset.session) !== state.session) showSession(Number(table.dataset.session));
      showNeuron(Number(place));
      byId("browser").scrollIntoView({ block: "center" });
    });
  }
  document.addEventListener("keydown", onBrowseKey);
}
