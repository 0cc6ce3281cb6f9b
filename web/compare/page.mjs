// The page of the comparison: runs it, shows it as a table, and shares it.
import { element } from '../controls.js';
import { whyUnsupported } from '../engine.js';
import { fromHash, toHash } from './share.mjs';

/** How far the losses may be apart, of themselves, and count as the same: both sum in f32, in different orders. */
const APART = 1e-4;

const find = (id) => document.getElementById(id);
const number = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3))));
const speed = ({ median, least, most }) => (least === undefined ? number(median) : `${number(median)} (${number(least)} to ${number(most)})`);

/** A net in words: its layers from the left, and how many rows a step takes. */
function netOf({ net, batch }) {
  const widths = net.split('-');
  const hidden = widths.slice(1, -1).map((units) => `${units} units`).join(', ');
  const text = `${widths[0]} inputs, ${hidden}, ${widths.at(-1)} output${widths.at(-1) === '1' ? '' : 's'}; ${batch.toLocaleString('en')} rows a step`;
  return element('th', { scope: 'row' }, net.replaceAll('-', '–'), element('small', { textContent: text }));
}

function speedOf(own, most, className) {
  const fill = element('i');
  fill.style.transform = `scaleX(${own.median / most})`;
  return element('td', {}, number(own.median), element('span', { className: `bar ${className}` }, fill));
}

function show(result) {
  const rows = result.nets.map((net) => {
    const [ours, theirs] = [net.wgrad.loop, net.tensorflow.loop];
    const most = Math.max(ours.median, theirs.median);
    const ratio = ours.median / theirs.median;
    const apart = Math.abs(net.wgrad.loss - net.tensorflow.loss) / Math.abs(net.tensorflow.loss);
    const losses = `${net.wgrad.loss.toPrecision(5)} and ${net.tensorflow.loss.toPrecision(5)}`;
    return element('tr', {},
      netOf(net),
      speedOf(ours, most, 'ours'),
      speedOf(theirs, most, ''),
      element('td', { className: 'ratio', textContent: `${number(ratio)} times as fast` }),
      element('td', { title: `loss ${losses}`, textContent: apart <= APART ? `yes: loss ${net.wgrad.loss.toPrecision(4)}` : `no: ${losses}` }));
  });
  find('rows').replaceChildren(...rows);
  const all = result.nets.flatMap((net) => ['loop', 'fit'].map((way) => element('tr', {},
    element('th', { scope: 'row', textContent: net.net.replaceAll('-', '–') }),
    element('td', { textContent: way === 'loop' ? 'the loop' : 'fit' }),
    element('td', { textContent: speed(net.wgrad[way]) }),
    element('td', { textContent: net.wholeStep ? speed(net.wholeStep[way]) : '–' }),
    element('td', { textContent: speed(net.tensorflow[way]) }))));
  find('all').replaceChildren(...all);
  find('where').textContent = `on ${result.adapter}`;
  find('version').textContent = result.tensorflow;
  find('origin').textContent = result.isShared
    ? `Figures from a link, as they were sent: median of ${result.rounds} rounds. Press Run to see those of your own GPU.`
    : `More is better. Median of ${result.rounds} round${result.rounds === 1 ? '' : 's'}.`;
  find('empty').hidden = true;
  for (const id of ['result', 'details', 'share']) find(id).hidden = false;
}

const say = (text) => { find('status').textContent = text; };

async function run(options = {}) {
  find('run').disabled = true;
  const progress = find('progress');
  progress.hidden = false;
  progress.value = 0;
  try {
    const unsupported = whyUnsupported();
    if (unsupported) throw new Error(`${unsupported.title}. ${unsupported.lines[0]}`);
    if (!globalThis.tf) throw new Error('TensorFlow.js is not on this server. web/site puts it there, where npm is to be had.');
    const { compare } = await import('./compare.mjs');
    const result = await compare({ ...options, status: (text, share) => { say(text); progress.value = share; } });
    show(result);
    history.replaceState(null, '', toHash(result));
    say('Done.');
    return result;
  } catch (error) {
    say(error.message);
    throw error;
  } finally {
    find('run').disabled = false;
    progress.hidden = true;
  }
}

async function share() {
  try {
    await navigator.clipboard.writeText(location.href);
    say('The link to this result is on the clipboard.');
  } catch {
    say('The address of this page is the link to this result.');
  }
}

function showShared() {
  const shared = fromHash(location.hash);
  if (shared) show(shared);
}

find('run').addEventListener('click', () => run().catch((error) => console.error(error)));
find('share').addEventListener('click', share);
addEventListener('hashchange', showShared);
showShared();
globalThis.runComparison = run;
