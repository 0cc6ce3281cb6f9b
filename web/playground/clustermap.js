// The map of clusters: points, centres with what is nearest to them, and the principal axes.

import { onThemeChange, sharpen, theme } from './colors.js';
import { EXTENT } from './data.js';
import { stillHeld } from './editor.js';
import { drawCursor, trace } from './marks.js';

/** How near a point one must come to take hold of it, in CSS pixels. */
const REACH = 14;
/** How far the axes reach, in deviations. */
const DEVIATIONS = 2;

export class ClusterMap {
  #canvas;
  #shown = { points: [], centers: null, labels: [], trail: [], axes: null };
  showRegions = true;
  showAxes = true;
  /** A point in another place, while it is moved: `{ index, x, y }`. */
  held = null;
  /** A place to mark, `{ x, y }`: that of the keyboard's crosshair. */
  cursor = null;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    onThemeChange(() => this.draw());
  }

  get canvas() {
    return this.#canvas;
  }

  /** `{ points, centers, labels, trail, axes }`, as `clustering.js` has them. */
  show(shown) {
    if (shown.points !== this.#shown.points) this.held = stillHeld(this.held, shown.points);
    this.#shown = shown;
    this.draw();
  }

  /** The place of a pointer's event in the square. */
  placeOf(event) {
    const scale = (2 * EXTENT) / this.#canvas.clientWidth;
    return { x: event.offsetX * scale - EXTENT, y: EXTENT - event.offsetY * scale };
  }

  /** The point that is nearest to a place and within reach; null if none is. */
  pointNear({ x, y }) {
    const reach = (REACH * 2 * EXTENT) / this.#canvas.clientWidth;
    const distance = (point) => Math.hypot(point.x - x, point.y - y);
    const points = this.#shown.points.filter((point) => distance(point) <= reach);
    return points.sort((a, b) => distance(a) - distance(b))[0] ?? null;
  }

  draw() {
    const side = this.#canvas.clientWidth;
    if (side === 0) return;
    const { context } = sharpen(this.#canvas, side, side);
    const scale = side / (2 * EXTENT);
    const at = ([x, y]) => [(x + EXTENT) * scale, (EXTENT - y) * scale];
    const { points, centers, axes } = this.#shown;
    if (centers && this.showRegions) this.#drawRegions(context, at);
    this.#drawPoints(context, at, side);
    if (axes && this.showAxes) drawAxes(context, at, side, axes);
    if (centers) this.#drawCenters(context, at);
    if (points.length === 0) {
      context.fillStyle = theme().muted;
      context.font = theme().font(14);
      context.textAlign = 'center';
      context.textBaseline = 'middle';
      context.fillText('draw points here', side / 2, side / 2);
    }
    if (this.cursor) drawCursor(context, ...at([this.cursor.x, this.cursor.y]));
  }

  /** What is nearest to each centre: the Voronoi cells. */
  #drawRegions(context, at) {
    const { tints, boundary } = theme();
    const { centers } = this.#shown;
    context.lineJoin = 'round';
    for (const [group, center] of centers.entries()) {
      const cell = cellOf(center, centers);
      if (cell.length === 0) continue;
      context.beginPath();
      for (const corner of cell) context.lineTo(...at(corner));
      context.closePath();
      context.fillStyle = tints[group];
      context.fill();
      context.strokeStyle = boundary;
      context.lineWidth = 1.25;
      context.stroke();
    }
  }

  #drawPoints(context, at, side) {
    const { clusters, muted, card } = theme();
    const { points, labels } = this.#shown;
    const radius = Math.max(3, side / 105);
    context.strokeStyle = card;
    context.lineWidth = 1;
    for (const [i, point] of points.entries()) {
      const { x, y } = this.held?.index === point.index ? this.held : point;
      trace(context, ...at([x, y]), radius, labels[i] ?? 0);
      context.fillStyle = labels[i] === undefined ? muted : clusters[labels[i]];
      context.fill();
      context.stroke();
    }
  }

  /** Numbered, with the ways that they came. */
  #drawCenters(context, at) {
    const { clusters, card, ink } = theme();
    const { centers, trail } = this.#shown;
    context.font = `bold ${theme().font(12)}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    for (const [group, center] of centers.entries()) {
      context.beginPath();
      for (const before of trail) context.lineTo(...at(before[group]));
      context.strokeStyle = clusters[group];
      context.lineWidth = 2;
      context.stroke();
      const [x, y] = at(center);
      context.beginPath();
      context.arc(x, y, 10, 0, 2 * Math.PI);
      context.fillStyle = clusters[group];
      context.fill();
      [context.strokeStyle, context.lineWidth] = [ink, 2];
      context.stroke();
      context.fillStyle = card;
      context.fillText(group + 1, x, y + 0.5);
    }
  }
}

/** The part of the square that is nearer to a centre than to any other, as corners in turn. */
export function cellOf(center, centers) {
  let corners = [[-EXTENT, -EXTENT], [EXTENT, -EXTENT], [EXTENT, EXTENT], [-EXTENT, EXTENT]];
  for (const other of centers) {
    const [nx, ny] = [other[0] - center[0], other[1] - center[1]];
    if (nx === 0 && ny === 0) continue; // the same place: the first of them has it
    const middle = (nx * (other[0] + center[0]) + ny * (other[1] + center[1])) / 2;
    const beyond = ([x, y]) => nx * x + ny * y - middle;
    corners = corners.flatMap((corner, i) => {
      const next = corners[(i + 1) % corners.length];
      const [here, there] = [beyond(corner), beyond(next)];
      const kept = here <= 0 ? [corner] : [];
      if (here <= 0 === there <= 0) return kept;
      const t = here / (here - there);
      return [...kept, [corner[0] + t * (next[0] - corner[0]), corner[1] + t * (next[1] - corner[1])]];
    });
  }
  return corners;
}

/** The principal axes through the mean: the first whole, the second dashed. */
function drawAxes(context, at, side, { mean, directions, deviations }) {
  const { ink, card, font } = theme();
  context.font = font(12);
  for (const [i, direction] of directions.entries()) {
    const reach = DEVIATIONS * deviations[i];
    const end = (sign) => at(mean.map((value, axis) => value + sign * reach * direction[axis]));
    const [from, to] = [end(-1), end(1)];
    // On a lighter band, so that it is seen on any ground.
    for (const [color, width, dashes] of [[card, 5, []], [ink, 2, i === 0 ? [] : [6, 4]]]) {
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.strokeStyle = color;
      context.lineWidth = width;
      context.setLineDash(dashes);
      context.stroke();
    }
    context.setLineDash([]);
    if (reach === 0) continue;
    const text = `axis ${i + 1}`;
    const width = context.measureText(text).width + 8;
    const within = (value, room) => Math.max(room, Math.min(side - room, value));
    const [x, y] = [within(to[0] + 16 * direction[0], width / 2 + 2), within(to[1] - 16 * direction[1], 11)];
    context.fillStyle = card;
    context.fillRect(x - width / 2, y - 9, width, 18);
    context.fillStyle = ink;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillText(text, x, y + 0.5);
  }
}
