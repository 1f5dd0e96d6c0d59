// Every figure as SVG or PNG for papers: in light colours, whatever the page wears at the moment.
const PNG_SCALE = 3;  // a PNG has three times the figure's size on the page: 300 dots an inch at 100 pixels an inch

const frames = async (n) => { for (let i = 0; i < n; i++) await new Promise(requestAnimationFrame); };

async function inLight(draw) {
  const dark = document.documentElement.dataset.theme === "dark";
  if (dark) {
    wear(false);
    await frames(2);
  }
  try { return await draw(); } finally { if (dark) wear(true); }
}

// What a figure shows, as an image of vectors; the heat map's cells are an image inside of it.
function figureSvg(name) {
  if (name === "pairs") return pairs.svg();
  const home = byId(`figure-${name}`);
  return views.find((view) => home.contains(view.el)).export("svg", false).to_blob();
}

async function raster(svg) {
  const url = URL.createObjectURL(svg), image = new Image();
  try {
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = PNG_SCALE * image.naturalWidth;
    canvas.height = PNG_SCALE * image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally { URL.revokeObjectURL(url); }
}

async function saveImage(name, kind) {
  const svg = await inLight(() => figureSvg(name));
  save(fileName(kind, name), kind === "png" ? await raster(svg) : svg);
}
