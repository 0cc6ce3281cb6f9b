// A unit's weights and bias in numbers, to read and to change by hand.

import { element } from './controls.js';

const shown = (number) => Number(number.toPrecision(4));

export class WeightEditor {
  #root;
  #network;
  #changed;
  #source;
  #value;
  #unit = null;

  /** `changed(layer, unit, input, value)` is called with a new number; `input` is null for the bias. */
  constructor(root, network, changed) {
    this.#root = root;
    this.#network = network;
    this.#changed = changed;
    this.#source = root.querySelector('select');
    this.#value = root.querySelector('input');
    this.#source.addEventListener('change', () => this.update(true));
    this.#value.addEventListener('change', () => this.#onValue());
    root.querySelector('button').addEventListener('click', () => this.#network.pin(null));
    root.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      this.#network.pin(null);
      this.#network.focus();
    });
  }

  /** Shows a unit, `{ layer, unit, input }`, whose weight from `input` is meant if that is not null; or nothing. */
  show(unit) {
    const editable = unit !== null && unit.layer > 0;
    this.#root.hidden = !editable;
    this.#unit = editable ? unit : null;
    if (!editable) return;
    this.#list(this.#network.inputsOf(unit.layer), unit.input ?? 0);
    this.update(true);
  }

  /** Lists the unit's inputs, and chooses one. */
  #list(inputs, chosen) {
    this.#source.replaceChildren(
      element('option', { value: '', textContent: 'the bias' }),
      ...inputs.map((name, input) => element('option', { value: input, textContent: `from ${name}` })));
    this.#source.value = chosen;
  }

  /** Puts the focus on the number. */
  focus() {
    if (this.#unit) this.#value.focus();
  }

  /** Shows the numbers as they are, unless one is being typed. */
  update(always = false) {
    if (!this.#unit) return;
    const { layer, unit } = this.#unit;
    // The layer before may have other units by now, or the experiment other features.
    const inputs = this.#network.inputsOf(layer);
    const listed = [...this.#source.options].slice(1).map((option) => option.textContent.replace(/^from /, ''));
    const isListed = inputs.length === listed.length && inputs.every((name, input) => name === listed[input]);
    if (!isListed) this.#list(inputs, 0);
    if (isListed && !always && document.activeElement === this.#value) return;
    this.#root.querySelector('b').textContent = this.#network.nameOf(this.#unit);
    this.#value.value = shown(this.#network.weightOf(layer, unit, this.#input));
  }

  get #input() {
    return this.#source.value === '' ? null : Number(this.#source.value);
  }

  #onValue() {
    const { layer, unit } = this.#unit;
    const number = this.#value.valueAsNumber;
    if (Number.isFinite(number) && Math.abs(number) <= 1e3) this.#changed(layer, unit, this.#input, number);
    else this.update(true);
  }
}
