// Filling the empty figures of the spikes: data of the shown session and neuron, ranges, and colours.
function openFigures(doc, choose, tell) {
  const get = (name) => doc.get_model_by_name(name);
  const time = get("time");
  const fill = (name, data) => { const source = get(name); if (source) source.data = data; };
  let current = null, shownRow = -1;

  // The window on the overview appears once a part of the recording is chosen; before that, a drag chooses one.
  time.change.connect(() => {
    const { start, end } = current.overview;
    const whole = time.end - time.start > 0.999 * (end - start);
    if (get("window").visible === whole) get("window").visible = !whole;
  });

  function setTime(low, high) {
    const { start, end } = current.overview;
    const width = Math.min(Math.max(high - low, 4 * current.interval), end - start);
    const from = Math.min(Math.max(low, start), end - width);
    time.setv({ start: from, end: from + width });
  }

  function showSession(session) {
    current = session;
    const { overview } = session;
    time.setv({ bounds: [overview.start, overview.end], min_interval: 4 * session.interval, reset_start: overview.start, reset_end: overview.end });
    setTime(overview.start, overview.end);
    const codes = numbers(document.getElementById(overview.island).textContent, "uint8");
    const values = Float32Array.from(codes, (code) => (code === 255 ? NaN : code));
    const { ndarray } = Bokeh.require("core/util/ndarray");
    const plot = get("overview-plot");
    plot.x_range.setv({ start: overview.start, end: overview.end });
    plot.y_range.setv({ start: overview.rows.length, end: 0 });
    const image = ndarray(values, { dtype: "float32", shape: [overview.rows.length, overview.columns] });
    fill("overview", { image: [image], x: [overview.start], y: [0], dw: [overview.end - overview.start], dh: [overview.rows.length] });
    for (const [name, data] of Object.entries(session.histograms)) {
      fill(name, { left: data.edges.slice(0, -1), right: data.edges.slice(1), top: data.counts });
      get(`${name}-plot`).x_range.setv({ start: data.edges[0], end: data.edges[data.edges.length - 1] });
      get(`${name}-plot`).y_range.setv({ start: 0, end: Math.max(1, ...data.counts) * 1.08 });
    }
  }

  function showTrace(session, place) {
    const first = row(session, "first", place);
    if (!first) return;
    const second = row(session, "second", place);
    const [low, high] = extent(first, second), span = high - low || 1;
    const { time: at, bin } = opened(session);
    get("trace-plot").y_range.setv({ start: low - 0.16 * span, end: high + 0.06 * span });
    fill("trace", line(session, first, second));
    const baseline = row(session, "baseline", place);
    const level = session.table[page.columns.findIndex((c) => c.key === "baseline")][session.shown[place]];
    if (baseline) fill("baseline", line(session, baseline, baseline));
    else fill("baseline", level === null ? { t: [], y: [] } : { t: [session.overview.start, session.overview.end], y: [level, level] });
    const probability = row(session, "probability", place), likely = { t: [], y0: [], y1: [], alpha: [] };
    if (probability) probability.forEach((p, i) => {
      if (!(p >= 0.5)) return;
      likely.t.push(at[i]); likely.y0.push(low - 0.13 * span); likely.y1.push(low - 0.055 * span); likely.alpha.push(0.35 + 0.65 * (2 * p - 1));
    });
    fill("likely", likely);
  }

  function showRate(session, place) {
    const { time: at, bin } = opened(session);
    const count = row(session, "count", place), sd = row(session, "sd", place) ?? new Float64Array(count.length);
    const rate = count.map((c, i) => c / bin[i]);
    const low = count.map((c, i) => Math.max(0, c - sd[i]) / bin[i]), high = count.map((c, i) => (c + sd[i]) / bin[i]);
    const top = largest(high, 1);
    fill("rate", steps(session, { rate, low, high, count, sd }));
    const truth = row(session, "truth", place), marks = { t: [], y: [] };
    if (truth) truth.forEach((n, i) => { if (n > 0.5) { marks.t.push(at[i]); marks.y.push(top * 1.09); } });
    fill("truth", marks);
    get("rate-plot").y_range.setv({ start: 0, end: top * (truth ? 1.18 : 1.06) });
  }

  function showNeuron(session, place) {
    showTrace(session, place);
    showRate(session, place);
    const neuron = session.shown[place], { rows, start, end } = session.overview;
    shownRow = rows.indexOf(neuron);
    fill("overview-row", shownRow < 0 ? { left: [], right: [], top: [], bottom: [] }
      : { left: [start], right: [end], top: [shownRow], bottom: [shownRow + 1] });
    for (const [name, data] of Object.entries(session.histograms)) {
      const value = session.table[page.columns.findIndex((c) => c.key === data.column)][neuron];
      get(`${name}-here`).setv({ location: value ?? 0, visible: value !== null });
    }
  }

  function recolour(dark) {
    const ink = inks[dark ? "dark" : "light"];
    const paint = (name, colour, keys) => {
      const glyph = get(name)?.glyph;
      if (glyph) for (const key of keys) glyph[key] = { value: colour };
    };
    paint("trace-line", ink.grey, ["line_color"]);
    paint("baseline-line", ink.orange, ["line_color"]);
    paint("likely-marks", ink.blue, ["line_color"]);
    paint("rate-line", ink.blue, ["line_color"]);
    paint("rate-band", ink.blue, ["fill_color"]);
    paint("truth-marks", ink.green, ["fill_color", "line_color"]);
    paint("row", ink.orange, ["line_color"]);
    for (const name of Object.keys(page.sessions[0].histograms)) {
      paint(`${name}-bars`, ink.blue, ["fill_color"]);
      get(`${name}-here`).line_color = ink.orange;
    }
    get("window")?.setv({ line_color: ink.orange, fill_color: ink.orange });
    const colours = ramp(ink.ramp);
    get("rates").palette = colours;
    const stops = [0, 16, 36, 64, 100, 144, 196, 255].map((i) => `${colours[i]} ${((i / 255) ** 2 * 100).toFixed(1)}%`);
    document.getElementById("ramp").style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  }

  function rowAt(event) {
    const at = Math.floor(event.y);
    const { rows, start, end } = current.overview;
    return at >= 0 && at < rows.length && event.x >= start && event.x <= end ? rows[at] : null;
  }

  get("overview-plot").on_event("tap", (event) => {
    const neuron = rowAt(event);
    if (neuron === null) return;
    const place = current.shown.indexOf(neuron);
    if (place >= 0) choose(place);
    else tell(`${current.neurons[neuron]}: its trace is not in this page, only in the files`);
  });
  get("overview-plot").on_event("mousemove", (event) => {
    const neuron = rowAt(event);
    tell(neuron === null ? "" : `${current.neurons[neuron]} at ${format(event.x, 1)} s`);
  });

  return {
    showSession, showNeuron, recolour, get,
    zoom(factor) {
      const middle = (time.start + time.end) / 2, half = ((time.end - time.start) / 2) * factor;
      if (factor === Infinity) setTime(current.overview.start, current.overview.end);
      else setTime(middle - half, middle + half);
    },
    move(part) {
      const shift = (time.end - time.start) * part;
      setTime(time.start + shift, time.end + shift);
    },
  };
}
