// The page: its pictures, one after the other through the net, and what is done with each.
import { show, overlay } from './look.js';
import { zip } from './zip.js';
import { camera } from './camera.js';

const $ = (selector) => document.querySelector(selector);
const make = (tag, settings = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), settings);
  element.append(...children);
  return element;
};
const percent = (share) => (share > 0 && share < 0.001 ? '<0.1 %' : `${(100 * share).toFixed(1)} %`);

let known; // what the server says of its nets
let pictures = []; // {name, file, state: waiting | working | done | failed, says, found}
let seen = null; // the one that is looked at
let running = null; // {picture, abort: AbortController}

const net = () => known.nets.find((each) => each.name === $('#nets :checked').value);
const query = (picture) => new URLSearchParams({ net: net().name, size: $('#size :checked').value, file: picture.name });
const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

// ---- Pictures come in.

function add(files) {
  const given = [...files];
  if (!given.length) return;
  const added = given.map((file) => ({ name: file.name || 'pasted.png', file, state: 'waiting', says: 'waits' }));
  pictures.push(...added);
  choose(added[0]);
  next();
}

$('#files').addEventListener('change', (event) => {
  add(event.target.files);
  event.target.value = ''; // the same file may be chosen again
});
addEventListener('paste', (event) => {
  const files = event.clipboardData?.files ?? [];
  if (files.length) event.preventDefault();
  add(files);
});
let within = 0; // elements that a dragged file is over
const dragged = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
addEventListener('dragenter', (event) => { within += dragged(event); $('#drop').hidden = !within; });
addEventListener('dragleave', (event) => { within -= dragged(event); $('#drop').hidden = within <= 0; });
addEventListener('dragover', (event) => dragged(event) && event.preventDefault());
addEventListener('drop', (event) => {
  within = 0;
  $('#drop').hidden = true;
  if (!dragged(event)) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});
$('#examples').addEventListener('click', async (event) => {
  const name = event.target.closest('button')?.dataset.file;
  if (name) add([new File([await (await fetch(`examples/${name}`)).blob()], name)]);
});
camera($('#camera'), $('#taking'), (file) => add([file]));

// ---- One after the other, that which is looked at first.

async function next() {
  if (running || !known) return;
  const waiting = pictures.filter((each) => each.state === 'waiting');
  const picture = waiting.includes(seen) ? seen : waiting[0];
  if (!picture) return;
  running = { picture, abort: new AbortController() };
  Object.assign(picture, { state: 'working', says: 'is sent', part: 0, since: performance.now() });
  render();
  try {
    if (picture.file.size > known.bytes) throw Error(`${picture.name}: more than ${known.bytes / 1e6} MB: make it smaller`);
    await ask(picture, running.abort.signal);
  } catch (error) {
    const lost = error instanceof TypeError ? 'The server does not answer: is `fcn web` still running?' : error.message;
    if (error.name !== 'AbortError') Object.assign(picture, { state: 'failed', says: 'failed', wrong: lost });
    else if (picture.state === 'working') Object.assign(picture, { state: 'failed', says: 'stopped', wrong: `${picture.name}: stopped` });
  }
  running = null;
  render();
  next();
}

async function ask(picture, signal) {
  const answer = await fetch(`segment?${query(picture)}`, { method: 'POST', body: picture.file, signal });
  if (!answer.headers.get('content-type').includes('json')) throw Error(await answer.text());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    text += value ?? '';
    const lines = text.split('\n');
    text = done ? '' : lines.pop();
    for (const line of lines.filter(Boolean)) take(picture, JSON.parse(line));
    if (done) break;
  }
  if (picture.state === 'working') throw Error(`${picture.name}: the answer ended too early`);
}

function take(picture, told) {
  if (told.wrong) throw Error(told.wrong);
  if (told.found) {
    const seconds = (performance.now() - picture.since) / 1000;
    Object.assign(picture, { state: 'done', says: 'done', found: { ...told.found, net: net(), seconds } });
    picture.thumb = `data:image/jpeg;base64,${told.found.picture}`;
  } else {
    Object.assign(picture, { says: told.says, part: told.part });
    picture.first ??= told.part ? [told.part, performance.now()] : undefined;
    if (picture.first && told.part > picture.first[0]) {
      const pace = (performance.now() - picture.first[1]) / (told.part - picture.first[0]);
      picture.says += `, about ${Math.ceil((pace * (1 - told.part)) / 1000)} s are left`;
    }
  }
  render();
}

function again() {
  for (const picture of pictures) Object.assign(picture, { state: 'waiting', says: 'waits', wrong: '', first: undefined });
  running?.abort.abort();
  describe();
  render();
  next();
}

$('#stop').addEventListener('click', () => running?.abort.abort());
$('#nets').addEventListener('change', again);
$('#size').addEventListener('change', again);

// ---- What is seen.

function choose(picture) {
  seen = picture;
  render();
}

function inGallery(picture) {
  const blank = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
  const button = make('button', { type: 'button' }, make('img', { src: blank, alt: '' }), picture.name, make('small'));
  button.addEventListener('click', () => choose(picture));
  $('#gallery').append(make('li', {}, button));
  return button;
}

function render() {
  $('#gallery').hidden = pictures.length < 2;
  for (const picture of pictures) {
    picture.button ??= inGallery(picture);
    picture.button.className = picture.state;
    picture.button.setAttribute('aria-current', picture === seen);
    picture.button.querySelector('small').textContent = picture.state === 'working' ? 'working' : picture.says;
    if (picture.thumb) picture.button.querySelector('img').src = picture.thumb;
  }
  $('#empty').hidden = Boolean(seen);
  const working = running?.picture;
  $('#work').hidden = !working;
  if (working) {
    $('#says').textContent = `${working.name}: ${working.says} ...`;
    if (working.part) $('#part').value = working.part;
    else $('#part').removeAttribute('value');
  }
  const wrong = seen?.state === 'failed' ? seen.wrong : '';
  if ($('#wrong').textContent !== wrong) $('#wrong').textContent = wrong;
  $('#found').hidden = seen?.state !== 'done';
  if (seen?.state === 'done' && drawn !== seen.found) look();
  $('[data-make=all]').hidden = pictures.filter((each) => each.state === 'done').length < 2;
}

let drawn = null; // the answer that is on the screen
async function look() {
  const found = seen.found;
  drawn = found;
  const rows = found.classes;
  const said = rows.map((row) => `${row.name} ${percent(row.share)}`).join(', ');
  const [width, height] = found.computed;
  const size = width === found.width ? '' : `, computed at ${width} x ${height}`;
  $('#told').textContent = `${seen.name}: ${found.width} x ${found.height} pixels${size}, by ${found.net.name} in ${found.seconds.toFixed(1)} s.`;
  $('#classes').setAttribute('aria-label', said);
  $('#legend tbody').replaceChildren(...rows.map((row) => {
    const spot = make('i', { className: 'spot' });
    if (row.value || !found.net.clear) spot.style.background = row.colour;
    const button = make('button', { type: 'button' }, spot, row.name);
    button.dataset.value = row.value;
    button.setAttribute('aria-pressed', false);
    return make('tr', {}, make('td', {}, button),
      make('td', { textContent: percent(row.share) }), make('td', { textContent: `${row.sure} %` }));
  }));
  await show(found, found.net);
}

$('#legend').addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const alone = button.getAttribute('aria-pressed') !== 'true';
  for (const each of $('#legend').querySelectorAll('button')) each.setAttribute('aria-pressed', alone && each === button);
  show(seen.found, seen.found.net, alone ? Number(button.dataset.value) : null);
});
$('#opacity').addEventListener('input', (event) => { $('#classes').style.opacity = event.target.value / 100; });

function describe() {
  const { name, variant, backbone, knows, classes, card } = net();
  const spots = classes.map((each) => {
    const spot = make('i', { className: 'spot' });
    spot.style.background = `rgb(${each.colour})`;
    return make('li', {}, spot, each.name);
  });
  const list = make('ul', { className: 'classes' });
  list.append(...spots);
  $('#card').replaceChildren(
    make('p', { textContent: `${name}: ${variant} on ${backbone}. ${knows}` }),
    make('details', {}, make('summary', { textContent: `Its ${classes.length} classes` }), list),
  );
  if (!card) return;
  const text = make('div', { className: 'card', innerHTML: card }); // made by the server, which lets no HTML through
  for (const link of text.querySelectorAll('a:not([href^="https:"])')) link.replaceWith(...link.childNodes);
  $('#card').append(make('details', {}, make('summary', { textContent: 'What it was trained on, and what it cannot do' }), text));
}

// ---- Files to take along.

function save(blob, name) {
  const link = make('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
const stem = (picture) => picture.name.replace(/\.[^.]*$/, '');
const opacity = () => $('#opacity').value / 100;
const makers = {
  labels: (picture) => save(new Blob([bytes(picture.found.labels)], { type: 'image/png' }), `${stem(picture)}-labels.png`),
  overlay: async (picture) => save(await overlay(picture.found, picture.found.net, opacity()), `${stem(picture)}-overlay.png`),
  async probabilities(picture) {
    const answer = await fetch(`probabilities?${query(picture)}`, { method: 'POST', body: picture.file });
    if (!answer.ok) throw Error((await answer.json()).wrong);
    save(await answer.blob(), `${stem(picture)}-probabilities.npz`);
  },
  async all() {
    const files = {};
    const rows = ['picture,class,name,share,probability'];
    for (const picture of pictures.filter((each) => each.state === 'done')) {
      let name = stem(picture);
      for (let number = 2; `${name}-labels.png` in files; number++) name = `${stem(picture)}-${number}`;
      files[`${name}-labels.png`] = bytes(picture.found.labels);
      const blob = await overlay(picture.found, picture.found.net, opacity());
      files[`${name}-overlay.png`] = new Uint8Array(await blob.arrayBuffer());
      for (const row of picture.found.classes) rows.push([name, row.value, row.name, row.share, row.sure / 100].map(cell).join(','));
    }
    files['classes.csv'] = new TextEncoder().encode(`${rows.join('\n')}\n`);
    save(zip(files), 'segmented.zip');
  },
};
const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
$('#files-made').addEventListener('click', async (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  button.disabled = true;
  $('#wrong').textContent = '';
  try {
    await makers[button.dataset.make](seen);
  } catch (error) {
    $('#wrong').textContent = error.message;
  }
  button.disabled = false;
});

// ---- The nets.

known = await (await fetch('nets')).json();
$('#side').textContent = known.side;
for (const each of known.nets) {
  const input = make('input', { type: 'radio', name: 'net', value: each.name, checked: each.name === known.first, disabled: Boolean(each.wrong) });
  $('#nets').append(make('label', {}, input, make('span', { textContent: each.name + (each.wrong ? ` (${each.wrong})` : '') })));
}
describe();
next();
