// How a point is drawn: classes and groups differ in shape as well as in colour.

import { theme } from './colors.js';

const TRIANGLE = [[0, -1.45], [1.305, 0.94], [-1.305, 0.94]];
const PLUS = [
  [-0.45, -1.3], [0.45, -1.3], [0.45, -0.45], [1.3, -0.45], [1.3, 0.45], [0.45, 0.45],
  [0.45, 1.3], [-0.45, 1.3], [-0.45, 0.45], [-1.3, 0.45], [-1.3, -0.45], [-0.45, -0.45],
];
const STAR = Array.from({ length: 10 }, (_, i) => {
  const [angle, reach] = [(Math.PI * i) / 5, i % 2 ? 0.65 : 1.6];
  return [reach * Math.sin(angle), -reach * Math.cos(angle)];
});
/** The corners of all shapes but the disc, which is the first, for a radius of 1. */
const SHAPES = [
  TRIANGLE,
  [[-0.95, -0.95], [0.95, -0.95], [0.95, 0.95], [-0.95, 0.95]],
  [[0, -1.45], [1.1, 0], [0, 1.45], [-1.1, 0]],
  TRIANGLE.map(([x, y]) => [x, -y]),
  PLUS,
  STAR,
  PLUS.map(([x, y]) => [(x - y) * Math.SQRT1_2, (x + y) * Math.SQRT1_2]),
];

/** A path of a point's shape: a disc for class A or group 0, a triangle for class B or group 1, and so on up to group 7. */
export function trace(context, x, y, radius, label) {
  context.beginPath();
  if (!label) {
    context.arc(x, y, radius, 0, 2 * Math.PI);
    return;
  }
  for (const [dx, dy] of SHAPES[label - 1]) context.lineTo(x + radius * dx, y + radius * dy);
  context.closePath();
}

/** Draws a point of a class: full if it is trained on, hollow if it is for testing. */
export function drawClass(context, x, y, radius, label, isTest) {
  const { zero, one, card } = theme();
  const color = label ? one : zero;
  trace(context, x, y, radius, label);
  context.lineJoin = 'round';
  // Hollow or with a rim, so that points that lie on each other stay apart.
  [context.fillStyle, context.strokeStyle, context.lineWidth] = isTest ? [card, color, 1.9] : [color, card, 1];
  context.fill();
  context.stroke();
}

/** Draws points of no class. */
export function drawPlain(context, points, placeOf, radius) {
  context.fillStyle = theme().muted;
  for (const point of points) {
    trace(context, ...placeOf(point), radius, 0);
    context.fill();
  }
}

/** Draws a point with a value from −1 to 1 in the colours of the map; a thick rim if it is for testing. */
export function drawValue(context, x, y, radius, value, isTest, rim = 1) {
  const { ramp, ink } = theme();
  const word = ramp[Math.round(Math.max(-1, Math.min(1, value)) * 127.5 + 127.5)];
  trace(context, x, y, radius, 0);
  context.fillStyle = `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`;
  context.fill();
  context.strokeStyle = ink;
  context.lineWidth = isTest ? 2.2 : rim;
  context.stroke();
}

/** Marks the picture of a unit that answers nothing anywhere. */
export function strikeOut(context, x, y, size) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + size, y + size);
  context.stroke();
}

/** The keyboard's crosshair. */
export function drawCursor(context, x, y) {
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 5 * dx, y + 5 * dy);
    context.lineTo(x + 14 * dx, y + 14 * dy);
  }
  context.strokeStyle = theme().ink;
  context.lineWidth = 2;
  context.stroke();
}
