// Adds, moves and removes points of the data set on the map, by pointer or by keys.

import { adding, moving, removing } from './edits.js';
import { EXTENT } from './data.js';

/** How far an arrow key moves the crosshair. */
const NUDGE = 0.25;
/** How far apart points are that are drawn in one stroke, in CSS pixels. */
const APART = 16;
/** How far a press may travel and still be a click, in CSS pixels. */
const STILL = 6;

const inside = (number) => Math.max(-EXTENT, Math.min(EXTENT, number));

/** A point that is held, if it lies among `points` where it was taken: not if it was put elsewhere or is gone. */
export function stillHeld(held, points) {
  const { x, y } = points.find(({ index }) => index === held?.index) ?? {};
  return held && x === held.from.x && y === held.from.y ? held : null;
}

export class PointEditor {
  #surface;
  #choices;
  #commit;
  #pressed = null; // { id, x, y }: the pointer that is down, and where it came down

  /**
   * `choices`: radio buttons named by their values; `commit(edit, joined)` is called with a change as text, and whether
   * it goes on with the one before; it returns whether the change was taken.
   */
  constructor(surface, choices, commit) {
    this.#surface = surface;
    this.#choices = choices;
    this.#commit = commit;
    const { canvas } = surface;
    choices.addEventListener('change', () => this.#choose());
    canvas.addEventListener('pointerdown', (event) => this.#press(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    canvas.addEventListener('pointerup', (event) => this.#release(event));
    canvas.addEventListener('pointercancel', () => this.#drop());
    canvas.addEventListener('keydown', (event) => this.#onKey(event));
    canvas.addEventListener('blur', () => {
      surface.cursor = null;
      this.#drop();
    });
    this.#choose();
  }

  get #mode() {
    return this.#choices.querySelector('input:checked').value;
  }

  #choose() {
    // Where a finger edits, it does not scroll.
    this.#surface.canvas.dataset.mode = this.#mode;
    this.#surface.cursor = null;
    this.#drop();
  }

  #drop() {
    this.#pressed = null;
    this.#surface.held = null;
    this.#surface.draw();
  }

  #hold(place) {
    const point = this.#surface.pointNear(place);
    if (point) this.#surface.held = { index: point.index, x: point.x, y: point.y, from: point };
  }

  #press(event) {
    if (event.button !== 0 || this.#mode === 'look' || this.#pressed) return;
    this.#surface.canvas.setPointerCapture(event.pointerId);
    this.#pressed = { id: event.pointerId, x: event.offsetX, y: event.offsetY };
    if (this.#mode === 'move') this.#hold(this.#surface.placeOf(event));
    else if (this.#mode === 'draw') this.#act(this.#surface.placeOf(event));
  }

  #move(event) {
    const { held } = this.#surface;
    if (this.#pressed?.id !== event.pointerId) return;
    if (this.#mode === 'draw') this.#stroke(event);
    if (!held) return;
    const { x, y } = this.#surface.placeOf(event);
    Object.assign(held, { x: inside(x), y: inside(y) });
    this.#surface.draw();
  }

  /** Points along a stroke. */
  #stroke(event) {
    const pressed = this.#pressed;
    if (Math.hypot(event.offsetX - pressed.x, event.offsetY - pressed.y) < APART) return;
    Object.assign(pressed, { x: event.offsetX, y: event.offsetY });
    const { x, y } = this.#surface.placeOf(event);
    if (inside(x) === x && inside(y) === y) this.#act({ x, y }, true);
  }

  #release(event) {
    const pressed = this.#pressed;
    if (pressed?.id !== event.pointerId) return;
    const still = Math.hypot(event.offsetX - pressed.x, event.offsetY - pressed.y) <= STILL;
    if (this.#mode === 'move') this.#put();
    else if (still && this.#mode !== 'draw') this.#act(this.#surface.placeOf(event));
    this.#pressed = null;
  }

  /** Leaves the held point where it is. It stays there in the picture until the data are made anew. */
  #put() {
    const { held } = this.#surface;
    if (held && !this.#commit(moving(held.index, held))) this.#drop();
  }

  #act(place, joined = false) {
    if (['a', 'b', 'draw'].includes(this.#mode)) {
      this.#commit(adding(place, this.#mode === 'a' ? -1 : 1), joined);
    } else if (this.#mode === 'remove') {
      const point = this.#surface.pointNear(place);
      if (point) this.#commit(removing(point.index));
    }
  }

  #onKey(event) {
    if (this.#mode === 'look') return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const surface = this.#surface;
    const at = surface.cursor ?? { x: 0, y: 0 };
    if (moves[event.key]) {
      const [dx, dy] = moves[event.key];
      surface.cursor = { x: inside(at.x + NUDGE * dx), y: inside(at.y + NUDGE * dy) };
      if (surface.held) Object.assign(surface.held, surface.cursor);
    } else if (event.key === ' ' || event.key === 'Enter') {
      surface.cursor = at;
      if (this.#mode !== 'move') this.#act(at);
      else if (surface.held) this.#put();
      else this.#hold(at);
    } else if (event.key === 'Escape') {
      surface.held = null;
    } else return;
    event.preventDefault();
    surface.draw();
  }
}
