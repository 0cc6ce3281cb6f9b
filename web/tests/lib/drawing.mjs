// Digits drawn by mouse and by touch.

/** Draws strokes with a finger. */
export async function drawByTouch(page, ...strokes) {
  await page.evaluate(() => document.querySelector('#pad').scrollIntoView({ block: 'center' }));
  await page.waitForTimeout(100);
  const { x, y, width, height } = await page.locator('#pad').boundingBox();
  const session = await page.context().newCDPSession(page);
  const touch = (type, points) => session.send('Input.dispatchTouchEvent', {
    type, touchPoints: points.map(([across, down]) => ({ x: x + across * width, y: y + down * height })),
  });
  for (const [first, ...rest] of strokes) {
    await touch('touchStart', [first]);
    for (const point of rest) await touch('touchMove', [point]);
    await page.waitForTimeout(100); // a finger that leaves at full speed flings, and the next tap only stops that
    await touch('touchEnd', []);
  }
  await session.detach();
}

/** Draws strokes, lists of points in [0, 1]², with the mouse. */
export async function draw(page, ...strokes) {
  await page.click('#clear');
  const { x, y, width, height } = await page.locator('#pad').boundingBox();
  const place = ([across, down]) => [x + across * width, y + down * height];
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(...place(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...place(point), { steps: 4 });
    await page.mouse.up();
  }
}

export const looksLike = (page, digit) => page.waitForFunction(
  (text) => document.querySelector('#guess').textContent === text, `Looks like a ${digit}.`, { timeout: 10_000 });

export const arc = (x, y, rx, ry, from, to) => Array.from({ length: 17 }, (_, i) => {
  const angle = ((from + ((to - from) * i) / 16) * Math.PI) / 180;
  return [x + rx * Math.sin(angle), y - ry * Math.cos(angle)];
});
export const DRAWINGS = {
  0: [arc(0.5, 0.5, 0.2, 0.33, 0, 360)],
  1: [[[0.5, 0.15], [0.5, 0.85]]],
  2: [[...arc(0.5, 0.33, 0.2, 0.18, -80, 120), [0.3, 0.82], [0.72, 0.82]]],
  3: [[...arc(0.47, 0.32, 0.19, 0.17, -70, 180), ...arc(0.47, 0.67, 0.22, 0.18, 0, 250)]],
  4: [[[0.5, 0.15], [0.28, 0.58], [0.75, 0.58]], [[0.6, 0.38], [0.57, 0.88]]],
  5: [[[0.68, 0.15], [0.36, 0.15], [0.34, 0.45], ...arc(0.47, 0.63, 0.22, 0.2, -20, 230)]],
  6: [[[0.6, 0.13], [0.42, 0.35], [0.34, 0.6], ...arc(0.5, 0.67, 0.17, 0.17, -90, 270)]],
  7: [[[0.3, 0.18], [0.7, 0.18], [0.42, 0.85]]],
  8: [[...arc(0.5, 0.33, 0.16, 0.17, 180, -180), ...arc(0.5, 0.68, 0.19, 0.18, 0, 360)]],
  9: [[...arc(0.48, 0.35, 0.18, 0.19, 90, -270), [0.64, 0.6], [0.56, 0.88]]],
};
