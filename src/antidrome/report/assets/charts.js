// Every bokeh figure of the page: opening, colours for light and dark, and its data as CSV.
const inks = {
  light: { ink: "#56626f", grid: "#e1e5e9", grey: "#59636e", orange: "#D55E00", blue: "#0072B2", green: "#009E73",
    ramp: [[255, 255, 255], [158, 202, 225], [0, 114, 178], [3, 38, 84]] },
  dark: { ink: "#9ba8b5", grid: "#2a333d", grey: "#aeb9c4", orange: "#f0a04b", blue: "#56B4E9", green: "#3fcf9f",
    ramp: [[23, 29, 36], [19, 74, 113], [86, 180, 233], [240, 250, 255]] },
};

function ramp(stops) {
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2), part = at - low;
    const hex = stops[low].map((value, c) => Math.round(value + (stops[low + 1][c] - value) * part).toString(16).padStart(2, "0"));
    return `#${hex.join("")}`;
  });
}

async function openDocument() {
  const { document: content, roots } = JSON.parse(document.getElementById("page-figures").textContent);
  const [manager] = await Bokeh.embed.embed_items({ page: content }, [{ docid: "page", roots, root_ids: Object.keys(roots) }]);
  const opened = [...(manager.roots ?? manager)];
  return [opened[0]?.model.document ?? null, opened];
}

// A figure's renderers and axes wear what the page wears; a renderer's tags name its ink.
function recolourCharts(doc, dark) {
  const ink = inks[dark ? "dark" : "light"];
  for (const plot of doc.roots().flatMap((root) => root.children ?? [root])) {
    for (const axis of [...plot.below, ...plot.left]) {
      axis.setv({ axis_label_text_color: ink.ink, major_label_text_color: ink.ink });
    }
    for (const grid of plot.center) {
      if (grid.type === "Grid") grid.grid_line_color = ink.grid;
      if (grid.type === "Legend") grid.label_text_color = ink.ink;
    }
    for (const renderer of plot.renderers) {
      const colour = ink[renderer.tags?.[0]];
      for (const key of colour ? ["line_color", "fill_color"] : []) {
        if (renderer.glyph[key]?.value) renderer.glyph[key] = { value: colour };
      }
    }
  }
}

// All that a chart draws, one line a point, its series named in the first column.
function chartCsv(doc, name) {
  const sources = [...new Set(doc.get_model_by_name(`${name}-plot`).renderers.map((r) => r.data_source))];
  const keys = [...new Set(sources.flatMap((source) => Object.keys(source.data)))];
  const lines = [["series", ...keys].map(csvCell).join(",")];
  for (const source of sources) {
    const columns = keys.map((key) => source.data[key]);
    const length = Math.max(0, ...columns.map((column) => column?.length ?? 0));
    for (let i = 0; i < length; i++) {
      lines.push([source.tags[0] ?? "", ...columns.map((column) => column?.[i] ?? "")].map((v) => csvCell(Number.isNaN(v) ? "" : String(v))).join(","));
    }
  }
  return lines.join("\r\n") + "\r\n";
}
