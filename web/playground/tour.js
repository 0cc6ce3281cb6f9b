// A tour of the page: eight places, each pointed at and explained. It can be ended at any of them.

const STOPS = [
  ['.card.data .tiles', 'The task', 'Points of two classes: orange discs and blue triangles. Pick another data set whenever you like. The net has to find out which class belongs where, from examples alone.'],
  ['#surface', 'The answer', 'The background is what the net says at every place: blue for class B, orange for class A, pale where it is unsure. So far it has random weights, and its answer is random too.'],
  ['#run', 'Press Run', 'Do it now. In every step the net takes a few points, sees how wrong it is, and moves all its weights a little to be less wrong. Watch the map.'],
  ['#network', 'Inside', 'Each small picture is one unit’s answer over the same square. The first layer sees stripes and waves; later ones put them together. Lines are weights: thick is large, blue and solid adds, orange and dashed subtracts. Point at a unit, or click one to change its weights.'],
  ['#plane-chart', 'How wrong it is', 'The loss falls while the net learns. Dashed: on the points it learns from. Solid: on test points it has never learnt from. If the two part, it learns by heart.'],
  ['#plane .strip', 'The knobs', 'The learning rate is how far weights move in a step: try 0.3, then 0.0001. Weight decay smooths the map. Anything you change can be undone with Back.'],
  ['#edit', 'Make it harder', 'Add points of your own, move some, or take them away, and see the net adapt while it runs.'],
  ['#timeline', 'Behind it', 'Where the time of a step goes on your machine: forward, backward and update on the GPU, upload and readback on your processor. Below is a text that explains all of it. That was the tour; the tabs Digits and Clusters wait.'],
];
const MARGIN = 14;

export class Tour {
  #root;
  #opener;
  #at = -1;

  /** `opener` is the button that starts it, where the focus goes afterwards. */
  constructor(root, opener) {
    this.#root = root;
    this.#opener = opener;
    root.querySelector('.next').addEventListener('click', () => this.#go(this.#at + 1));
    root.querySelector('.back').addEventListener('click', () => this.#go(this.#at - 1));
    root.querySelector('.skip').addEventListener('click', () => this.end());
    root.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.end();
    });
    addEventListener('resize', () => this.#place());
    addEventListener('scroll', () => this.#place(), { passive: true });
  }

  start() {
    this.#go(0);
  }

  end() {
    this.#point(null);
    this.#at = -1;
    this.#root.hidden = true;
    this.#opener.focus({ preventScroll: true });
  }

  #point(target) {
    document.querySelector('.toured')?.classList.remove('toured');
    target?.classList.add('toured');
  }

  get #target() {
    return this.#at < 0 ? null : document.querySelector(STOPS[this.#at][0]);
  }

  #go(stop) {
    if (stop >= STOPS.length) {
      this.end();
      return;
    }
    this.#at = stop;
    const [, title, text] = STOPS[stop];
    const find = (selector) => this.#root.querySelector(selector);
    find('.place').textContent = `${stop + 1} of ${STOPS.length}`;
    find('h2').textContent = title;
    find('#guide-text').textContent = text;
    find('.back').disabled = stop === 0;
    find('.next').textContent = stop + 1 === STOPS.length ? 'Done' : 'Next';
    find('.skip').hidden = stop + 1 === STOPS.length;
    this.#root.hidden = false;
    this.#point(this.#target);
    // Below the bar that stays at the top, and on a phone above the tour's own card.
    this.#target.scrollIntoView({ block: innerWidth < 560 ? 'start' : 'nearest' });
    this.#place();
    find('h2').focus({ preventScroll: true });
  }

  /** Beside its target where there is room, else below or above it; on a phone at the bottom. */
  #place() {
    const target = this.#target;
    if (!target) return;
    const { style, offsetWidth: width, offsetHeight: height } = this.#root;
    if (innerWidth < 560) {
      Object.assign(style, { left: '', top: '' });
      return;
    }
    const box = target.getBoundingClientRect();
    const fits = (low, length, room) => Math.max(MARGIN, Math.min(low, room - length - MARGIN));
    let [left, top] = [box.left, box.bottom + MARGIN];
    if (box.right + width + 2 * MARGIN <= innerWidth) [left, top] = [box.right + MARGIN, box.top];
    else if (box.left - width - 2 * MARGIN >= 0) [left, top] = [box.left - width - MARGIN, box.top];
    else if (box.bottom + height + 2 * MARGIN > innerHeight) top = box.top - height - MARGIN;
    style.left = `${fits(left, width, document.documentElement.clientWidth)}px`;
    style.top = `${fits(top, height, innerHeight)}px`;
  }
}
