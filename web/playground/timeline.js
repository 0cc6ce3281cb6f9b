// The last steps on a time line: what the processor did and what the GPU did, one step drawn as the mean of
// those that were timed.

import { element } from './controls.js';

/** Steps that a mean is over, at most. */
const MOST = 64;
const PHASES = ['upload', 'forward', 'backward', 'update', 'readback'];
/** Browsers may round timestamps, to 0.1 ms. */
const ROUNDED = 0.1;

const kilobytes = (bytes) => (bytes < 1000 ? `${Math.round(bytes)} B` : `${(bytes / 1000).toFixed(1)} KB`);
const milliseconds = (ms) => `${ms.toFixed(ms < 0.1 ? 3 : 2)} ms`;

export class Timeline {
  #root;
  #records = [];

  constructor(root) {
    this.#root = root;
    this.clear();
  }

  clear() {
    this.#records = [];
    this.#root.dataset.steps = 0;
    this.#find('.when-empty').hidden = false;
    this.#find('.when-timed').hidden = true;
  }

  /** Adds what `recorder.js` found of some steps. */
  add(record) {
    if (record.dispatches.length === 0 || record.dispatches.length % record.steps !== 0) return;
    const isAlike = (other) => other.dispatches.length / other.steps === record.dispatches.length / record.steps;
    this.#records = [...this.#records.filter((other) => isAlike(other) && !other.first), record];
    while (this.#records.length > 1 && stepsOf(this.#records) > MOST) this.#records.shift();
    this.#show();
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  #show() {
    const mean = meanOf(this.#records);
    const { bars, total } = mean;
    const draw = (lane, shown) => this.#find(lane).replaceChildren(...shown.map(({ phase, name, start, ms }) => {
      const bar = element('span', { className: `bar ${phase}`, title: `${name}: ${milliseconds(ms)}` });
      bar.style.left = `${(100 * start) / total}%`;
      bar.style.width = `${(100 * ms) / total}%`;
      return bar;
    }));
    draw('.host', bars.filter(({ lane }) => lane === 'host'));
    draw('.gpu', bars.filter(({ lane }) => lane === 'gpu'));
    const rows = PHASES.filter((phase) => mean.phases[phase]);
    this.#find('tbody').replaceChildren(...rows.map((phase) => {
      const { ms, dispatches } = mean.phases[phase];
      const key = element('i', { className: `bar ${phase}` });
      return element('tr', {},
        element('th', { scope: 'row' }, key, phase),
        element('td', { textContent: ms === null ? 'not stamped' : milliseconds(ms) }),
        element('td', { textContent: dispatches || '–' }));
    }));
    const { dispatches, submissions, uploaded, readBack } = mean.counts;
    this.#find('.counts').textContent = `Each step: ${dispatches} kernels started on the GPU, ${submissions} submissions, `
      + `${kilobytes(uploaded)} uploaded, ${kilobytes(readBack)} read back.`;
    this.#find('.notes').textContent = notesOf(mean);
    this.#root.dataset.steps = mean.steps;
    this.#find('.when-empty').hidden = true;
    this.#find('.when-timed').hidden = false;
  }
}

const stepsOf = (records) => records.reduce((sum, { steps }) => sum + steps, 0);

function notesOf({ steps, stamped, isRounded }) {
  const over = `Mean of ${steps} step${steps === 1 ? '' : 's'}, timed up to four to a submission.`;
  if (!stamped) return `${over} This browser gives pages no timestamps of the GPU, so its work is one bar.`;
  return isRounded ? `${over} This browser rounds the GPU’s timestamps to 0.1 ms; the mean of many evens that out.` : over;
}

/** The mean step of some records: its bars, in milliseconds from its start, its phases and its counts. */
function meanOf(records) {
  const steps = stepsOf(records);
  const each = records[0].dispatches.length / records[0].steps; // dispatches of a step
  const share = (key) => records.reduce((sum, record) => sum + record[key], 0) / steps;
  const stamped = records.every(({ stamped, dispatches }) => stamped && dispatches.every(({ ms }) => ms !== undefined));
  const kernels = records[0].dispatches.slice(0, each).map(({ name, phase }) => ({ name, phase, start: 0, ms: 0 }));
  let isRounded = stamped;
  for (const { dispatches } of stamped ? records : []) {
    dispatches.forEach(({ start, ms }, i) => {
      const kernel = kernels[i % each];
      kernel.start += (start - dispatches[i - (i % each)].start) / steps;
      kernel.ms += ms / steps;
      isRounded &&= Math.abs(ms / ROUNDED - Math.round(ms / ROUNDED)) < 1e-3;
    });
  }
  const [upload, wait] = [share('upload'), share('readback')];
  const span = stamped ? Math.max(...kernels.map(({ start, ms }) => start + ms)) : wait;
  const readback = Math.max(0, wait - span);
  const gpu = stamped
    ? kernels.map(({ start, ...kernel }) => ({ lane: 'gpu', start: upload + start, ...kernel }))
    : [{ lane: 'gpu', phase: 'all', name: 'all kernels', start: upload, ms: span }];
  const phases = {
    upload: { ms: upload, dispatches: 0 },
    readback: { ms: stamped ? readback : null, dispatches: 0 },
  };
  for (const { phase, ms } of kernels) {
    phases[phase] ??= { ms: stamped ? 0 : null, dispatches: 0 };
    phases[phase].dispatches++;
    if (stamped) phases[phase].ms += ms;
  }
  const bars = [
    { lane: 'host', phase: 'upload', name: 'upload and recording', start: 0, ms: upload },
    ...gpu,
    ...(stamped ? [{ lane: 'host', phase: 'readback', name: 'waiting and reading back', start: upload + span, ms: readback }] : []),
  ];
  const counts = {
    dispatches: each,
    submissions: (records.reduce((sum, { submissions }) => sum + submissions, 0) / steps).toFixed(2).replace(/\.?0+$/, ''),
    uploaded: share('uploaded'),
    readBack: share('readBack'),
  };
  return { steps, stamped, isRounded, bars, phases, counts, total: Math.max(upload + span + readback, 1e-6) };
}
