// The loss over the steps, for training and test.

import { onThemeChange, sharpen, theme } from './colors.js';

/** Points kept per line; when there are more, neighbours are merged. */
const MOST = 800;
const MARGIN = { left: 46, right: 12, top: 22, bottom: 32 };
/** Of the training line, so that the two differ in more than colour. */
const DASHES = [4, 2.5];

/** What the chart of a training says. */
const OF_TRAINING = { across: 'step', up: 'loss', empty: 'no steps yet', key: ['training', 'test'] };

export class Chart {
  #canvas;
  #words;
  #lines = { training: [], test: [] }; // of { step, loss }
  #logarithmic = false;

  /** `words`: those of the axes, of an empty chart, and of the key to its two lines if it has two. */
  constructor(canvas, words = OF_TRAINING) {
    this.#canvas = canvas;
    this.#words = words;
    new ResizeObserver(() => this.draw()).observe(canvas);
    onThemeChange(() => this.draw());
  }

  set logarithmic(on) {
    this.#logarithmic = on;
    this.draw();
  }

  clear() {
    this.rewind(-1);
    this.draw();
  }

  /** Forgets what came after a step: training went back to it. */
  rewind(step) {
    for (const [name, points] of Object.entries(this.#lines)) {
      this.#lines[name] = points.filter((point) => point.step <= step);
    }
  }

  /** Adds a point to a line; `draw` shows it. */
  add(name, step, loss) {
    const points = this.#lines[name];
    if (points.at(-1)?.step === step) points.pop();
    points.push({ step, loss });
    if (points.length > MOST) this.#lines[name] = thin(points);
  }

  draw() {
    const [width, height] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    if (width === 0) return;
    const { context } = sharpen(this.#canvas, width, height);
    const area = {
      left: MARGIN.left,
      top: MARGIN.top,
      width: width - MARGIN.left - MARGIN.right,
      height: height - MARGIN.top - MARGIN.bottom,
    };
    const { training, test } = this.#lines;
    if (training.length === 0) {
      drawEmpty({ context, width, height }, this.#words.empty);
      return;
    }
    const losses = [...training, ...test].map(({ loss }) => loss).filter(Number.isFinite);
    const scale = this.#logarithmic ? logScale(losses) : linearScale(losses);
    const end = Math.max(training.at(-1)?.step ?? 0, test.at(-1)?.step ?? 0, 10);
    const x = (step) => area.left + (step / end) * area.width;
    const y = (loss) => area.top + (1 - scale.at(loss)) * area.height;
    drawAxes(context, area, scale, end, x, y, this.#words);
    if (this.#words.key) {
      drawLine(context, area, x, y, training, theme().muted, 1.4, DASHES);
      drawLine(context, area, x, y, test, theme().accent, 2.2);
      drawKey(context, area, this.#words.key);
    } else drawLine(context, area, x, y, training, theme().accent, 2.2);
  }
}

/** What an experiment shows that has not begun: no invented axes. */
export function drawEmpty({ context, width, height }, text = OF_TRAINING.empty) {
  context.fillStyle = theme().muted;
  context.font = theme().font(14);
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(text, width / 2, height / 2);
}

function drawKey(context, area, [training, test]) {
  const { muted, accent, ink } = theme();
  context.textBaseline = 'middle';
  context.textAlign = 'left';
  context.font = theme().font(12);
  let left = area.left + area.width - 138;
  for (const [label, color, width, dashes] of [[training, muted, 1.4, DASHES], [test, accent, 2.2, []]]) {
    context.beginPath();
    context.moveTo(left, area.top - 11);
    context.lineTo(left + 18, area.top - 11);
    context.strokeStyle = color;
    context.lineWidth = width;
    context.setLineDash(dashes);
    context.stroke();
    context.fillStyle = ink;
    context.fillText(label, left + 23, area.top - 10.5);
    left += 81;
  }
  context.setLineDash([]);
}

/** Half as many points: the middles of neighbours; the last one stays. */
function thin(points) {
  const half = [];
  for (let i = 0; i + 2 < points.length; i += 2) {
    const [a, b] = [points[i], points[i + 1]];
    half.push({ step: (a.step + b.step) / 2, loss: (a.loss + b.loss) / 2 });
  }
  return [...half, points.at(-1)];
}

function drawLine(context, area, x, y, points, color, width, dashes = []) {
  context.save();
  context.beginPath();
  context.rect(area.left, area.top - 2, area.width + 4, area.height + 4);
  context.clip();
  context.beginPath();
  for (const { step, loss } of points) {
    if (Number.isFinite(loss)) context.lineTo(x(step), y(loss));
  }
  context.strokeStyle = color;
  context.lineWidth = width;
  context.lineJoin = 'round';
  context.setLineDash(dashes);
  context.stroke();
  context.restore();
}

function drawAxes(context, area, scale, end, x, y, words) {
  const { muted, line } = theme();
  context.font = theme().font(11);
  context.fillStyle = muted;
  context.strokeStyle = line;
  context.lineWidth = 1;
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  context.beginPath();
  for (const tick of scale.ticks) {
    const at = Math.round(y(tick)) + 0.5;
    context.moveTo(area.left, at);
    context.lineTo(area.left + area.width, at);
    context.fillText(String(tick), area.left - 6, at);
  }
  context.stroke();
  context.textAlign = 'center';
  context.textBaseline = 'top';
  const every = niceStep(end / Math.max(2, area.width / 80));
  for (let step = 0; step <= end; step += every) {
    context.fillText(short(step), x(step), area.top + area.height + 5);
  }
  context.fillText(words.across, area.left + area.width / 2, area.top + area.height + 19);
  context.save();
  context.translate(11, area.top + area.height / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = 'middle';
  context.fillText(words.up, 0, 0);
  context.restore();
}

function linearScale(losses) {
  const top = Math.max(...losses, 0.1);
  const every = niceStep(top / 4);
  const ticks = [];
  for (let i = 0; i * every <= top * 1.05; i++) ticks.push(Number((i * every).toPrecision(3)));
  return { ticks, at: (loss) => loss / (top * 1.05) };
}

function logScale(losses) {
  const positive = losses.filter((loss) => loss > 0);
  const low = Math.floor(Math.log10(Math.max(Math.min(...positive, 1), 1e-6)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive, 1e-5))));
  const ticks = [];
  for (let power = low; power <= high; power++) ticks.push(Number((10 ** power).toPrecision(3)));
  return { ticks, at: (loss) => (Math.log10(Math.max(loss, 1e-9)) - low) / (high - low) };
}

/** The nearest of 1, 2, 5, 10, 20, ... from above. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least * 0.999);
}

const short = (step) => (step >= 10000 ? `${step / 1000}k` : String(Math.round(step)));
