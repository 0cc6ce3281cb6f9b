// Why the net says so: what each pixel of a drawing adds to the score of a digit, by integrated gradients.

import { paint, sharpen } from './colors.js';
import { element } from './controls.js';

const SIDE = 8;
const CLASSES = 10;
/** Pictures between an empty pad and the drawing at which the net is asked. */
const POINTS = 32;
const NOTHING = 'Run, then draw: here is shown which pixels an answer comes from.';

export class Reasons {
  #find;
  #explainer = null; // { of: a model, it }
  #shown = null; // { attributions, digit, answer }
  #turn = 0; // counts what ends what was asked before

  /** `find(id)` finds the elements; `asked()` is called when a person asks for another digit. */
  constructor(find, asked) {
    this.#find = find;
    find('why-of').append(
      element('option', { value: '', textContent: 'its answer' }),
      ...Array.from({ length: CLASSES }, (_, digit) => element('option', { value: digit, textContent: `a ${digit}` })));
    find('why-of').addEventListener('change', asked);
    new ResizeObserver(() => this.draw()).observe(find('why'));
    this.clear();
  }

  /** Shows nothing; what was asked before is not shown any more. */
  clear() {
    this.#turn++;
    this.#shown = null;
    this.draw();
  }

  /** Gives back what there is on the device of a model that is used no more. */
  release() {
    this.#turn++;
    this.#explainer?.it.free();
    this.#explainer = null;
  }

  /** Asks a model for the reasons of its answer to a drawing, or of the digit that is chosen. */
  async find(model, drawn, answer) {
    if (this.#explainer?.of !== model) {
      this.release();
      const turn = this.#turn;
      const it = await model.explainer();
      if (turn !== this.#turn) {
        it.free();
        return;
      }
      this.#explainer = { of: model, it };
    }
    const turn = this.#turn;
    const { value } = this.#find('why-of');
    const digit = value === '' ? answer : Number(value);
    const options = { target: digit, points: POINTS, quadrature: 'midpoint' };
    const { attributions } = await this.#explainer.it.integratedGradients(drawn, options);
    if (turn !== this.#turn) return; // cleared meanwhile
    this.#shown = { attributions, digit, answer };
    this.draw();
  }

  draw() {
    const canvas = this.#find('why');
    const { context, width } = sharpen(canvas, canvas.clientWidth, canvas.clientWidth);
    const text = this.#shown ? textOf(this.#shown) : NOTHING;
    if (this.#find('why-text').textContent !== text) this.#find('why-text').textContent = text;
    if (!this.#shown || width === 0) return;
    const { attributions } = this.#shown;
    const most = Math.max(...attributions.map(Math.abs), 1e-9);
    const tile = new OffscreenCanvas(SIDE, SIDE);
    const pixels = tile.getContext('2d');
    pixels.putImageData(paint(pixels.createImageData(SIDE, SIDE), attributions.map((value) => value / most)), 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(tile, 0, 0, width, width);
  }
}

function textOf({ attributions, digit, answer }) {
  const sum = attributions.reduce((total, value) => total + value, 0);
  const change = `${sum < 0 ? 'lower' : 'raise'} the score of ${digit} by ${Math.abs(sum).toFixed(1)}`;
  const said = digit === answer ? '' : ` (its answer is ${answer})`;
  return `Blue pixels speak for a ${digit}${said}, orange ones against it. Together they ${change}, compared with an empty pad.`;
}
