// A person's own changes to the points of a data set, as text that fits in an address:
// `a1.5:-2:1` adds a point with a value, `m12:1.5:-2` moves point 12, `r12` removes it; commas between.

/** Changes at most; an address has its limits. */
export const MOST_EDITS = 80;
/** Of clusters, whose points are drawn. */
export const MOST_DRAWN = 250;
const FORM = /^(?:a(-?\d\.?\d{0,2}):(-?\d\.?\d{0,2}):(-?1)|m(\d{1,4}):(-?\d\.?\d{0,2}):(-?\d\.?\d{0,2})|r(\d{1,4}))$/;
const inside = (number) => Math.abs(number) <= 6;
const short = (number) => Number(Math.max(-6, Math.min(6, number)).toFixed(2));

export const adding = ({ x, y }, value) => `a${short(x)}:${short(y)}:${value}`;
export const moving = (index, { x, y }) => `m${index}:${short(x)}:${short(y)}`;
export const removing = (index) => `r${index}`;

const itemsOf = (text) => (text === '' ? [] : text.split(','));

/** Reads changes from an address, `most` at most; `fallback` if they make no sense. */
export const readEdits = (most) => (text, fallback) => {
  const items = itemsOf(text);
  const sound = items.length <= most && items.every((item) => {
    const [, ax, ay, , , mx, my] = FORM.exec(item) ?? [null, 99];
    return [ax, ay, mx, my].every((number) => number === undefined || inside(number));
  });
  return sound ? text : fallback;
};

/**
 * The changes of `count` points with one more; null if there would be more than `most`, even without what was added and
 * removed again. Only the last place of a moved point counts.
 */
export function withEdit(text, edit, { most, count }) {
  const place = edit.startsWith('m') ? edit.slice(0, edit.indexOf(':') + 1) : null;
  const items = [...itemsOf(text).filter((item) => place === null || !item.startsWith(place)), edit];
  const short = items.length > most ? tidied(items, count) : items;
  return short.length <= most ? short.join(',') : null;
}

/** The same points by fewer changes: without moves of points that are removed, and points that are added and removed. */
function tidied(items, count) {
  const indexOf = (item) => Number(item.slice(1).split(':')[0]);
  let end = count;
  const removed = new Set();
  for (const item of items) {
    if (item.startsWith('a')) end += 1;
    else if (item.startsWith('r') && indexOf(item) < end) removed.add(indexOf(item));
  }
  let added = count - 1;
  return items.flatMap((item) => {
    if (item.startsWith('a')) return removed.has((added += 1)) ? [] : [item];
    const index = indexOf(item);
    if (removed.has(index) && (index >= count || item.startsWith('m'))) return [];
    // Points that were added after those that are gone move up.
    const before = [...removed].filter((other) => other >= count && other < index).length;
    return [before > 0 ? item.replace(/\d+/, index - before) : item];
  });
}

/** Points, as `data.js` makes them, after the changes. */
export function changed(points, text) {
  const all = [...points];
  for (const item of itemsOf(text)) {
    const [, ax, ay, value, moved, mx, my, removed] = FORM.exec(item);
    if (ax !== undefined) {
      all.push({ x: Number(ax), y: Number(ay), value: Number(value), index: all.length, isTest: false });
    } else if (all[moved]) {
      all[moved] = { ...all[moved], x: Number(mx), y: Number(my) };
    } else if (all[removed]) {
      all[removed] = null;
    }
  }
  return all.filter((point) => point !== null);
}

/** The same of points for training and for testing. Points that are added are for training. */
export function edited(points, text) {
  const left = changed(points, text);
  // A net is trained on something and tested on something: what would leave nothing changes nothing.
  return [true, false].every((test) => left.some(({ isTest }) => isTest === test)) ? left : points;
}
