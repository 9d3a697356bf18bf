// A picture with its classes over it, and the class under the pointer.
const seen = document.querySelector('#seen');
const [photo, classes, cross] = ['#picture', '#classes', '#cross'].map((each) => document.querySelector(each));
const under = document.querySelector('#under span');
let here = null; // {data, width, height, net} of what is shown
let place = null; // [x, y] of the cross, in pixels of the map

async function decoded(base64, type) {
  const image = new Image();
  image.src = `data:image/${type};base64,${base64}`;
  await image.decode();
  return image;
}

function drawn(image, canvas = document.createElement('canvas')) {
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context;
}

// A map's red is the class, its green the probability in percent; it is painted in the classes' colours.
function painted(map, net, only = null) {
  const colours = net.classes.map(({ colour }, value) => {
    const shown = only === null ? value || !net.clear : value === only;
    const [red, green, blue] = only === 0 && net.clear ? [255, 255, 255] : colour;
    return shown ? ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0 : 0;
  });
  const paint = new ImageData(map.width, map.height);
  const pixels = new Uint32Array(paint.data.buffer);
  for (let at = 0; at < pixels.length; at++) pixels[at] = colours[map.data[4 * at]];
  return paint;
}

export async function show(found, net, only = null) {
  const image = await decoded(found.picture, 'jpeg');
  const context = drawn(await decoded(found.map, 'png'));
  const map = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
  drawn(image, photo);
  [classes.width, classes.height] = [map.width, map.height];
  classes.getContext('2d').putImageData(painted(map, net, only), 0, 0);
  seen.style.setProperty('--shape', map.width / map.height);
  seen.dataset.drawn = [map.width, map.height, net.name, only ?? ''];
  if (!here || here.found !== found) leave();
  here = { found, map, net };
}

export async function overlay(found, net, opacity) {
  const context = drawn(await decoded(found.picture, 'jpeg'));
  const { data, width, height } = drawn(await decoded(found.map, 'png')).getImageData(0, 0, context.canvas.width, context.canvas.height);
  const above = document.createElement('canvas');
  [above.width, above.height] = [width, height];
  above.getContext('2d').putImageData(painted({ data, width, height }, net), 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(above, 0, 0);
  return new Promise((done) => context.canvas.toBlob(done, 'image/png'));
}

function point(x, y) {
  const { map, net } = here;
  place = [Math.min(Math.max(x, 0), map.width - 1), Math.min(Math.max(y, 0), map.height - 1)].map(Math.floor);
  const at = 4 * (place[1] * map.width + place[0]);
  under.textContent = `${net.classes[map.data[at]].name}, ${map.data[at + 1]} %`;
}

function leave() {
  [place, under.textContent, cross.hidden] = [null, '', true];
}

function pointed(event) {
  if (!here) return;
  const box = seen.getBoundingClientRect();
  point(((event.clientX - box.x) / box.width) * here.map.width, ((event.clientY - box.y) / box.height) * here.map.height);
  cross.hidden = true;
}
seen.addEventListener('pointermove', pointed);
seen.addEventListener('pointerdown', pointed);

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
seen.addEventListener('keydown', (event) => {
  const arrow = ARROWS[event.key];
  if (!arrow || !here) return;
  event.preventDefault();
  const { width, height } = here.map;
  const step = Math.max(1, Math.round(Math.max(width, height) / (event.shiftKey ? 10 : 100)));
  const [x, y] = place ?? [width / 2, height / 2];
  point(x + arrow[0] * step, y + arrow[1] * step);
  cross.style.left = `${((place[0] + 0.5) / width) * 100}%`;
  cross.style.top = `${((place[1] + 0.5) / height) * 100}%`;
  cross.hidden = false;
});
