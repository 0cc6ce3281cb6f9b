// The page: starts the engine, and joins tabs, settings, address, buttons and keys.

import { Form, element } from './controls.js';
import { Digits } from './digits.js';
import { Device, loadEngine, whyNoDevice, whyUnsupported } from './engine.js';
import { Plane } from './plane.js';
import { TABS, fromHash, toHash } from './state.js';

const find = (id) => document.getElementById(id);
const device = new Device();
const VIEWS = { plane: Plane, digits: Digits };
const tabs = {}; // name → { view, form }, once opened
let active = null;

/** What is drawn at most once per frame. */
let painting = false;
function refresh() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    showFigures();
  });
}

const number = (value, digits) => (value === null ? '–' : value.toFixed(digits));

function showFigures() {
  const { session, figures } = tabs[active].view;
  const { running, steps, epoch, rate } = session;
  const button = find('run');
  button.classList.toggle('running', running);
  button.querySelector('span').textContent = running ? 'Pause' : 'Run';
  const texts = {
    epoch: epoch.toLocaleString('en'),
    steps: steps.toLocaleString('en'),
    rate: rate > 0 ? Math.round(rate).toLocaleString('en') : '–',
    'train-loss': number(figures.loss, 4),
    'test-loss': number(figures.testLoss, 4),
    accuracy: figures.accuracy === null ? '–' : `${(figures.accuracy * 100).toFixed(1)} %`,
  };
  for (const [id, text] of Object.entries(texts)) {
    if (find(id).textContent !== text) find(id).textContent = text;
  }
}

let fading = 0;
/** Says something; `lasting` until something else is said. */
function say(text, lasting = false) {
  const message = find('message');
  message.textContent = text;
  message.classList.toggle('shown', text !== '');
  clearTimeout(fading);
  if (!lasting) fading = setTimeout(() => message.classList.remove('shown'), 8000);
}

const watchOf = (name) => ({
  changed: () => name === active && refresh(),
  failed: (error) => say(device.isLost
    ? 'The GPU device was lost, and the browser offers no new one yet. The last weights are kept: press Run to try again.'
    : `Training stopped: ${error.message}`, true),
  lost: (steps) => say(`The GPU device was lost. Training goes on from step ${steps.toLocaleString('en')} on a new device.`),
});

/** A panel in place of the experiments. */
function showPanel({ title, lines }) {
  const panel = find('panel');
  panel.replaceChildren(
    element('h2', { textContent: title }),
    ...lines.map((line) => (Array.isArray(line)
      ? element('ul', {}, ...line.map((item) => element('li', { textContent: item })))
      : element('p', { textContent: line }))),
  );
  const again = element('button', { type: 'button', textContent: 'Try again' });
  again.addEventListener('click', () => location.reload());
  panel.append(again);
  panel.hidden = false;
}

// Tabs and the address.

function writeAddress() {
  history.replaceState(null, '', toHash(active, tabs[active].form.values));
}

/** Shows a tab; `values` start its experiment, or go on with the one it has. */
function open(name, values = null) {
  if (active && active !== name) tabs[active].view.session.pause();
  active = name;
  for (const tab of Object.keys(TABS)) {
    find(tab).hidden = tab !== name;
    find(`tab-${tab}`).ariaSelected = String(tab === name);
    find(`tab-${tab}`).tabIndex = tab === name ? 0 : -1;
  }
  const fresh = values !== null || !tabs[name];
  tabs[name] ??= makeTab(name);
  const { view, form } = tabs[name];
  if (values) form.show(values);
  writeAddress();
  refresh();
  if (fresh) return attempt(view.reset(form.values));
}

async function attempt(promise) {
  try {
    await promise;
  } catch (error) {
    say(error.message, true);
  }
}

function makeTab(name) {
  const { start } = TABS[name];
  const view = new VIEWS[name](find(name), device, start, watchOf(name));
  const form = new Form(find(name).querySelector('form'), name, start, (values, keys) => {
    if (name === active) writeAddress();
    attempt(view.change(values, keys));
  });
  return { view, form };
}

function listenToTabs() {
  for (const name of Object.keys(TABS)) {
    const tab = find(`tab-${name}`);
    tab.addEventListener('click', () => open(name));
    tab.addEventListener('keydown', (event) => {
      if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
      const other = name === 'plane' ? 'digits' : 'plane';
      open(other);
      find(`tab-${other}`).focus();
    });
  }
}

// Buttons and keys.

const actions = {
  run() {
    const { session } = tabs[active].view;
    if (session.running) session.pause();
    else session.run();
  },
  step: () => tabs[active].view.session.step(),
  reset: () => attempt(tabs[active].view.reset()),
  help: () => find('shortcuts').showModal(),
  async share() {
    try {
      await navigator.clipboard.writeText(location.href);
      say('The link to this experiment is on the clipboard.');
    } catch {
      say('The address of this page is the link to this experiment.');
    }
  },
};

const KEYS = {
  r: actions.run,
  s: actions.step,
  0: actions.reset,
  n: () => tabs[active].form.newSeed(),
  c: () => tabs.digits?.view.clear(),
  1: () => open('plane'),
  2: () => open('digits'),
  '?': actions.help,
};

function onKey(event) {
  const { target, key, ctrlKey, altKey, metaKey } = event;
  if (ctrlKey || altKey || metaKey || event.defaultPrevented || !find('keys-on').checked) return;
  if (target.matches('input[type=number], select, dialog *')) return;
  const action = KEYS[key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

async function start() {
  const unsupported = whyUnsupported();
  if (unsupported) return showPanel(unsupported);
  try {
    await loadEngine();
  } catch (error) {
    return showPanel({
      title: 'The engine did not load',
      lines: ['This page needs the package beside it, in pkg/; web/serve puts it there.', error.message],
    });
  }
  device.onOpen = (gpu) => { find('adapter').textContent = gpu.adapter; };
  try {
    await device.open();
  } catch (error) {
    return showPanel(whyNoDevice(error));
  }
  device.onWait = () => say('The GPU device was lost. Waiting for a new one …', true);
  listenToTabs();
  for (const id of ['transport', 'tabs', 'tools', 'runs-on']) find(id).hidden = false;
  for (const [id, action] of Object.entries(actions)) find(id).addEventListener('click', action);
  document.addEventListener('keydown', onKey);
  addEventListener('hashchange', () => {
    const { tab, values } = fromHash(location.hash);
    open(tab, values);
  });
  setInterval(() => tabs[active].view.session.check(), 500);
  // For the console, and for the tests.
  globalThis.playground = { device, tabs };
  const { tab, values } = fromHash(location.hash);
  await open(tab, values);
  performance.mark('ready');
}

start();
