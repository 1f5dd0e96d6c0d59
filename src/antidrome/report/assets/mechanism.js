// The pair plot of a posterior: weighted histograms on one canvas; held parameters weigh the samples.
function openPairs() {
  const { names, units, best } = page.mechanism;
  const d = names.length, canvas = byId("pairs");
  let pen = canvas.getContext("2d");
  const columns = (island) => {
    const flat = numbers(byId(island).textContent, "<f8");
    return names.map((_, i) => Float64Array.from({ length: flat.length / d }, (_, n) => flat[n * d + i]));
  };
  const samples = columns(page.mechanism.samples), prior = columns(page.mechanism.prior);
  const count = samples[0].length, bins = d > 6 ? 24 : 36;
  const axes = samples.map((values) => {
    const sorted = Float64Array.from(values).sort();
    const at = (share) => sorted[Math.round(share * (count - 1))];
    const low = at(0.001), high = at(0.999), margin = 0.06 * (high - low) || 0.5;
    const mean = values.reduce((sum, v) => sum + v, 0) / count;
    const sd = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / count) || 1;
    const digits = Math.ceil(Math.log10(Math.max(Math.abs(low), Math.abs(high)) / (high - low))) + 2;
    return { low: low - margin, high: high + margin, sd, digits: Number.isFinite(digits) ? Math.min(13, Math.max(3, digits)) : 3 };
  });
  const held = new Map();
  const binOf = (i, v) => Math.floor(((v - axes[i].low) / (axes[i].high - axes[i].low)) * bins);
  const codes = samples.map((values, i) => Int16Array.from(values, (v) => binOf(i, v)));
  const priorCodes = prior.map((values, i) => Int16Array.from(values, (v) => binOf(i, v)));

  function weights() {
    const w = new Float64Array(count).fill(1);
    for (const [i, value] of held) {
      const width = axes[i].sd / 4;
      for (let n = 0; n < count; n++) w[n] *= Math.exp(-0.5 * ((samples[i][n] - value) / width) ** 2);
    }
    return w;
  }

  function histogram(values, w) {
    const out = new Float64Array(bins);
    let total = 0;
    for (let n = 0; n < values.length; n++) {
      const mass = w ? w[n] : 1;
      total += mass;
      if (values[n] >= 0 && values[n] < bins) out[values[n]] += mass;
    }
    return out.map((v) => (total > 0 ? v / total : 0));
  }

  function drawMarginal(i, x, y, size, w, colours) {
    const here = histogram(codes[i], w), all = held.size ? histogram(codes[i], null) : null, before = histogram(priorCodes[i], null);
    const top = largest(here, 1e-9) * 1.1, step = size / bins;
    const height = (v) => Math.min(1, v / top) * size;
    pen.fillStyle = colours.blue;
    pen.globalAlpha = 0.75;
    here.forEach((v, b) => pen.fillRect(x + b * step, y + size - height(v), step + 0.5, height(v)));
    pen.globalAlpha = 1;
    for (const [values, colour] of [[before, colours.grey], [all, colours.ink]]) {
      if (!values) continue;
      pen.strokeStyle = colour;
      pen.beginPath();
      values.forEach((v, b) => { const h = y + size - height(v); pen.lineTo(x + b * step, h); pen.lineTo(x + (b + 1) * step, h); });
      pen.stroke();
    }
  }

  function drawPair(i, j, x, y, size, w, colours) {
    const grid = new Float64Array(bins * bins), step = size / bins;
    for (let n = 0; n < count; n++) {
      const a = codes[j][n], b = codes[i][n];
      if (a >= 0 && a < bins && b >= 0 && b < bins) grid[b * bins + a] += w[n];
    }
    const top = largest(grid, 1e-12);
    pen.fillStyle = colours.blue;
    for (let b = 0; b < bins; b++) for (let a = 0; a < bins; a++) {
      const share = grid[b * bins + a] / top;
      if (share < 0.01) continue;
      pen.globalAlpha = Math.sqrt(share);
      pen.fillRect(x + a * step, y + size - (b + 1) * step, step + 0.5, step + 0.5);
    }
    pen.globalAlpha = 1;
  }

  function position(i, value, size) {
    return Math.min(1, Math.max(0, (value - axes[i].low) / (axes[i].high - axes[i].low))) * size;
  }

  function drawMarks(i, j, x, y, size, colours) {
    pen.strokeStyle = pen.fillStyle = colours.orange;
    if (best[j] === null || best[i] === null) return;
    if (i === j) {
      pen.fillRect(x + position(i, best[i], size) - 0.75, y, 1.5, size);
    } else {
      pen.beginPath();
      pen.arc(x + position(j, best[j], size), y + size - position(i, best[i], size), 3, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.setLineDash([3, 3]);
    pen.strokeStyle = colours.ink;
    for (const [k, across] of [[j, true], [i, false]]) {
      if (!held.has(k) || (i === j && !across)) continue;
      const at = position(k, held.get(k), size);
      pen.beginPath();
      if (across) { pen.moveTo(x + at, y); pen.lineTo(x + at, y + size); }
      else { pen.moveTo(x, y + size - at); pen.lineTo(x + size, y + size - at); }
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  function label(i, x, y, size, colours) {
    const { low, high, digits } = axes[i];
    const short = (v) => v.toLocaleString("en", { maximumSignificantDigits: digits, useGrouping: false });
    pen.fillStyle = colours.muted;
    pen.font = "11px ui-sans-serif, system-ui, sans-serif";
    pen.textAlign = "left";
    pen.fillText(short(low), x, y + size + 13);
    pen.textAlign = "right";
    pen.fillText(short(high), x + size, y + size + 13);
    pen.textAlign = "center";
    pen.fillText((units[i] ? `${names[i]} (${units[i]})` : names[i]).slice(0, Math.max(6, Math.floor(size / 6))), x + size / 2, y + size + 26);
  }

  function layout() {
    const width = Math.max(280, canvas.clientWidth), gap = 8, below = 34;
    const size = Math.min(280, (width - gap * (d - 1)) / d), height = d * size + (d - 1) * gap + below;
    return { width, height, size, gap };
  }

  function paint(w, { size, gap }) {
    const style = getComputedStyle(document.documentElement);
    const colours = Object.fromEntries(["blue", "orange", "grey", "ink", "muted", "line"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    for (let i = 0; i < d; i++) for (let j = 0; j <= i; j++) {
      const x = j * (size + gap), y = i * (size + gap);
      if (i === j) drawMarginal(i, x, y, size, w, colours);
      else drawPair(i, j, x, y, size, w, colours);
      drawMarks(i, j, x, y, size, colours);
      pen.strokeStyle = colours.line;
      pen.strokeRect(x, y, size, size);
      if (i === d - 1) label(j, x, y, size, colours);
    }
  }

  function drawAll() {
    const place = layout(), scale = window.devicePixelRatio || 1, w = weights();
    canvas.width = place.width * scale;
    canvas.height = place.height * scale;
    canvas.style.height = `${place.height}px`;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, place.width, place.height);
    paint(w, place);
    const total = w.reduce((a, b) => a + b, 0), squares = w.reduce((a, b) => a + b * b, 0);
    const left = squares > 0 ? (total * total) / squares : 0;
    byId("pairs-left").textContent = held.size ? `${format(left, 0)} effective samples${left < 50 ? ": too few to say much" : ""}` : "";
    state.pairs = { left, held: held.size };
  }

  function svg() {
    const place = layout(), { SVGRenderingContext2D } = Bokeh.require("core/util/svg");
    const before = pen;
    pen = new SVGRenderingContext2D();
    pen.width = d * place.size + (d - 1) * place.gap;
    pen.height = place.height;
    try {
      paint(weights(), place);
      return new Blob([pen.get_serialized_svg(true)], { type: "image/svg+xml" });
    } finally { pen = before; }
  }

  // What is drawn: every sample with its weight, the prior's, and the most probable set.
  function csv() {
    const head = names.map((name, i) => csvCell(units[i] ? `${name} (${units[i]})` : name)), w = weights();
    const lines = [["series", "weight", ...head].join(",")];
    const rows = (series, columns, weight) => columns[0].forEach((_, n) =>
      lines.push([series, weight(n), ...columns.map((column, i) => column[n].toPrecision(axes[i].digits + 4))].join(",")));
    rows("posterior", samples, (n) => w[n].toPrecision(4));
    rows("prior", prior, () => 1);
    lines.push(["most probable", 1, ...best.map((value) => value ?? "")].join(","));
    return lines.join("\r\n") + "\r\n";
  }

  function hold(i) {
    const slider = document.querySelector(`[data-slide="${i}"]`), box = document.querySelector(`[data-hold="${i}"]`);
    const value = axes[i].low + (slider.value / 1000) * (axes[i].high - axes[i].low);
    document.querySelector(`[data-value="${i}"]`).textContent = value.toLocaleString("en", { maximumSignificantDigits: axes[i].digits + 1 });
    if (box.checked) held.set(i, value);
    else held.delete(i);
    drawAll();
  }

  names.forEach((_, i) => {
    const slider = document.querySelector(`[data-slide="${i}"]`), box = document.querySelector(`[data-hold="${i}"]`);
    slider.value = Math.round(position(i, best[i] ?? (axes[i].low + axes[i].high) / 2, 1000));
    slider.addEventListener("input", () => { box.checked = true; hold(i); });
    box.addEventListener("change", () => hold(i));
    hold(i);
  });
  byId("pairs-free").addEventListener("click", () => {
    for (const box of document.querySelectorAll("[data-hold]")) box.checked = false;
    held.clear();
    drawAll();
  });
  new ResizeObserver(drawAll).observe(canvas.parentElement);
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return { svg, csv };
}
