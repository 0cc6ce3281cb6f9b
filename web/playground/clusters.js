// The tab of clusters: points, the centres that they gather around, and the directions in which they differ most.

import { Chart } from './chart.js';
import { ClusterMap } from './clustermap.js';
import { Clustering } from './clustering.js';
import { onThemeChange, sharpen, theme } from './colors.js';
import { element } from './controls.js';
import { makeCloud, sizeOf } from './data.js';
import { PointEditor } from './editor.js';
import { MOST_DRAWN, withEdit } from './edits.js';
import { trace } from './marks.js';

/** What may change while the centres stay. */
const SOFT = ['points', 'speed'];
const percent = (share) => `${(100 * share).toFixed(share > 0.995 && share < 1 ? 1 : 0)} %`;

/** The points' shape of a group, as a picture. */
function markOf(group) {
  const canvas = element('canvas', { ariaHidden: 'true' });
  const { context } = sharpen(canvas, 16, 16);
  context.fillStyle = theme().clusters[group];
  trace(context, 8, 8, 5, group);
  context.fill();
  return canvas;
}

export class Clusters {
  session;
  task = 'the centres start somewhere, and each moves to the middle of the points around it. Or draw points of your own';
  #values;
  #points = [];
  #map;
  #chart;
  #find;

  /** `choose(key, change, joined)` changes a setting as a person would, by what `change` makes of it. */
  constructor(root, device, values, watch, choose) {
    const find = (this.#find = (id) => root.querySelector(`#${id}`));
    this.#values = values;
    this.#map = new ClusterMap(find('cluster-map'));
    this.#chart = new Chart(find('cluster-chart'), { across: 'iteration', up: 'inertia', empty: 'no iterations yet' });
    new PointEditor(this.#map, find('draw'), (edit, joined) => {
      let more;
      choose('points', (points) => {
        more = withEdit(points, edit, { most: MOST_DRAWN, count: sizeOf(this.#values.data) });
        return more ?? points;
      }, joined);
      if (more === null) watch.said(`${MOST_DRAWN} points and changes fit into the address, and all are made. Remove points that you drew.`);
      return more !== null;
    });
    for (const [box, property] of [['show-regions', 'showRegions'], ['show-axes', 'showAxes']]) {
      find(box).addEventListener('change', ({ target }) => {
        this.#map[property] = target.checked;
        this.#map.draw();
      });
    }
    onThemeChange(() => this.#show());
    this.session = new Clustering(device, {
      changed: () => {
        this.#show();
        watch.changed();
      },
      failed: (error) => watch.said(`Clustering stopped: ${error.message}`, true),
    });
  }

  async reset(values = this.#values) {
    this.#values = values;
    this.#points = makeCloud(values.data, values.spread / 100, values.points);
    const { k, seeding, seed, speed } = values;
    await this.session.reset({ points: this.#points, k, seeding, seed, speed });
  }

  /** Takes changed values: some need new seeds; points and pace do not. */
  change(values, keys) {
    if (keys.some((key) => !SOFT.includes(key))) return this.reset(values);
    this.#values = values;
    this.session.speed = values.speed;
    if (!keys.includes('points')) return undefined;
    this.#points = makeCloud(values.data, values.spread / 100, values.points);
    return this.session.follow(this.#points);
  }

  /** What the bar at the top says: names and texts. */
  get readout() {
    const { steps, inertias, axes, settled, loading } = this.session;
    return [
      ['Points', String(this.#points.length)],
      ['Iteration', String(steps)],
      ['Inertia', inertias.at(-1)?.toFixed(2) ?? '–'],
      ['First axis', axes ? percent(axes.shares[0]) : '–'],
      ['Centres', loading ? 'loading …' : settled ? 'settled' : steps > 0 ? 'moving' : 'at their start'],
    ];
  }

  /** The experiment as `code-clusters.js` takes it. */
  get experiment() {
    return { tab: 'clusters', values: this.#values, points: this.#points, seeds: this.session.seeds };
  }

  #show() {
    const { centers, labels, trail, axes, inertias } = this.session;
    this.#map.show({ points: this.#points, centers, labels, trail, axes });
    this.#chart.rewind(-1);
    if (inertias.length > 1) inertias.forEach((inertia, iteration) => this.#chart.add('training', iteration, inertia));
    this.#chart.draw();
    this.#showGroups(centers ?? [], labels);
    this.#showAxes(axes);
    const text = this.#remark;
    const remark = this.#find('few');
    remark.hidden = text === '';
    if (remark.textContent !== text) remark.textContent = text;
  }

  /** What is missing for groups. */
  get #remark() {
    const { k } = this.#values;
    const count = this.#points.length;
    if (this.session.loading) return 'What groups them is loading …';
    if (count >= k) return '';
    return count === 0 ? 'No points yet: draw some.' : `${count} ${count === 1 ? 'point makes' : 'points make'} no ${k} groups: draw more.`;
  }

  #showGroups(centers, labels) {
    const counts = centers.map((_, group) => labels.filter((label) => label === group).length);
    const colors = theme().clusters;
    this.#find('groups').replaceChildren(...counts.map((count, group) => {
      const bar = element('i');
      bar.style.transform = `scaleX(${(count / Math.max(labels.length, 1)).toFixed(4)})`;
      bar.style.background = colors[group];
      return element('li', {},
        element('span', { className: 'digit', textContent: group + 1 }),
        markOf(group),
        element('span', { className: 'bar' }, bar),
        element('span', { className: 'percent', textContent: count }));
    }));
    this.#find('no-groups').hidden = counts.length > 0;
  }

  #showAxes(axes) {
    for (const [i, row] of [...this.#find('axes').children].entries()) {
      const share = axes?.shares[i] ?? 0;
      row.querySelector('i').style.transform = `scaleX(${share.toFixed(4)})`;
      row.querySelector('.percent').textContent = axes ? percent(share) : '–';
    }
    const [x, y] = axes?.directions[0] ?? [0, 0];
    // Upwards to the right is less than 90°, as in a drawing.
    const angle = ((Math.round((Math.atan2(y, x) * 180) / Math.PI) % 180) + 180) % 180;
    const text = axes ? `Axis 1 rises at ${angle}°. Along it the points deviate by ${axes.deviations[0].toFixed(2)}, along axis 2 by ${axes.deviations[1].toFixed(2)}.` : 'Two points make an axis.';
    if (this.#find('axes-text').textContent !== text) this.#find('axes-text').textContent = text;
  }
}
