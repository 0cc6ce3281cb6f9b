// IDX files: two zeros, the type, the number of dimensions, the dimensions, the elements.

const UNSIGNED_BYTE = 0x08;

/** Reads an IDX file of bytes: `{ shape, data }`. */
export function parseIdx(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 4 || view.getUint16(0) !== 0 || view.getUint8(2) !== UNSIGNED_BYTE) {
    throw new Error('not an IDX file of bytes');
  }
  const dimensions = view.getUint8(3);
  const start = 4 + 4 * dimensions;
  if (buffer.byteLength < start) throw new Error('the IDX file ends within its header');
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  const count = shape.reduce((product, length) => product * length, 1);
  if (buffer.byteLength !== start + count) {
    throw new Error(`the IDX file holds ${buffer.byteLength - start} elements, its header says ${count}`);
  }
  return { shape, data: new Uint8Array(buffer, start, count) };
}

/** Fetches and reads an IDX file. */
export async function fetchIdx(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname ?? url}: ${response.status} ${response.statusText}`);
  return parseIdx(await response.arrayBuffer());
}
