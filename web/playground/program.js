// The dialog that shows an experiment as a program, to copy.

import { clusterProgramsOf } from './code-clusters.js';
import { programsOf } from './code.js';

export class ProgramDialog {
  #dialog;
  #programs = null;

  constructor(dialog) {
    this.#dialog = dialog;
    dialog.addEventListener('change', () => this.#show());
    dialog.querySelector('.copy').addEventListener('click', () => this.#copy());
  }

  /** Shows the program of an experiment, as `code.js` and `code-clusters.js` take it. */
  open(experiment) {
    this.#programs = (experiment.tab === 'clusters' ? clusterProgramsOf : programsOf)(experiment);
    this.#show();
    this.#dialog.showModal();
  }

  get #text() {
    return this.#programs[this.#dialog.querySelector('input:checked').value];
  }

  #say(text) {
    this.#dialog.querySelector('[role="status"]').textContent = text;
  }

  #show() {
    this.#dialog.querySelector('pre').textContent = this.#text;
    this.#say('');
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#text);
      this.#say('Copied.');
    } catch {
      getSelection().selectAllChildren(this.#dialog.querySelector('pre'));
      this.#say('Selected: copy it with your keyboard.');
    }
  }
}
