// The page's data: JSON for what is small, base64 text islands for the arrays, decoded one neuron at a time.
const byId = (id) => document.getElementById(id);
const page = JSON.parse(document.getElementById("page-data").textContent);
const kinds = { int16: Int16Array, uint16: Uint16Array, uint8: Uint8Array, "<f4": Float32Array, "<f8": Float64Array };
const missing = { int16: -32768, uint16: 65535, uint8: 255 };

function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

function numbers(text, kind) {
  return new kinds[kind](bytesOf(text));
}

// The session's own small arrays, decoded when the session is first shown.
function opened(session) {
  if (session.open) return session.open;
  const channels = {};
  for (const [name, head] of Object.entries(session.channels)) {
    const rowText = (head.width * kinds[head.dtype].BYTES_PER_ELEMENT / 3) * 4;
    channels[name] = {
      ...head, rowText, island: document.getElementById(head.island),
      scale: numbers(head.scale, "<f4"), offset: numbers(head.offset, "<f4"),
    };
  }
  const bin = numbers(session.bin, "<f8");
  session.open = { channels, time: numbers(session.time, "<f8"), bin, whole: largest(bin, 0) };
  return session.open;
}

// One quantity of one neuron, shape (bins,); missing values are NaN; null if the page does not have the quantity.
function row(session, name, place) {
  const { channels, time } = opened(session);
  const channel = channels[name];
  if (!channel) return null;
  const start = place * channel.rowText;
  const codes = numbers(channel.island.textContent.slice(start, start + channel.rowText), channel.dtype);
  const scale = channel.scale[place], offset = channel.offset[place], none = missing[channel.dtype];
  const values = new Float64Array(time.length);
  for (let i = 0; i < values.length; i++) values[i] = codes[i] === none ? NaN : offset + scale * codes[i];
  return values;
}

function largest(values, floor) {
  let top = floor;
  for (const value of values) if (value > top) top = value;
  return top;
}

function extent(...arrays) {
  let low = Infinity, high = -Infinity;
  for (const values of arrays) for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

// A step-shaped outline: the value of each bin from its start to its end, and a break where frames are missing.
function steps(session, columns) {
  const { time, bin, whole } = opened(session);
  const names = Object.keys(columns);
  const out = { t: [] };
  for (const name of names) out[name] = [];
  for (let i = 0; i < time.length; i++) {
    const from = time[i] - bin[i] / 2, to = time[i] + bin[i] / 2;
    if (i > 0 && from - out.t[out.t.length - 1] > whole) {
      out.t.push(from);
      for (const name of names) out[name].push(NaN);
    }
    out.t.push(from, to);
    for (const name of names) out[name].push(columns[name][i], columns[name][i]);
  }
  return out;
}

// Two points a bin (its extremes in their order), or one a frame where nothing was joined; a break at every gap.
function line(session, first, second) {
  const { time, bin, whole } = opened(session);
  const t = [], y = [];
  for (let i = 0; i < time.length; i++) {
    if (i > 0 && time[i] - time[i - 1] > bin[i - 1] / 2 + bin[i] / 2 + whole) { t.push(time[i - 1]); y.push(NaN); }
    if (session.factor === 1) { t.push(time[i]); y.push(first[i]); }
    else { t.push(time[i] - bin[i] / 4, time[i] + bin[i] / 4); y.push(first[i], second[i]); }
  }
  return { t, y };
}

function format(value, digits) {
  if (value === null || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function download(name, text) {
  save(name, new Blob([text], { type: "text/csv;charset=utf-8" }));
}

function save(name, blob) {
  const link = document.createElement("a");
  const url = URL.createObjectURL(blob);
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function fileName(kind, ...parts) {
  return `${parts.join("-").replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 100)}.${kind}`;
}

function csvCell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
