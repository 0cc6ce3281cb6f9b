// A static server for the files under a folder.
import { createServer } from 'node:http';
import { readFile, stat } from 'node:fs/promises';
import { extname, join, normalize, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const WEB = fileURLToPath(new URL('../..', import.meta.url));

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

/** Files compressed, until they change. */
const archive = new Map();

async function packed(file, body) {
  const { mtimeMs } = await stat(file);
  if (archive.get(file)?.mtimeMs !== mtimeMs) archive.set(file, { mtimeMs, bytes: gzipSync(body) });
  return archive.get(file).bytes;
}

/** Serves `root`, on a port of the system's choice unless told; resolves to `{ url, close }`. */
export async function serve({ root = WEB, port = 0 } = {}) {
  const base = normalize(root);
  const server = createServer(async (request, response) => {
    try {
      const path = decodeURIComponent(new URL(request.url, 'http://host').pathname);
      let file = normalize(join(base, path));
      if (!file.startsWith(base.endsWith(sep) ? base : base + sep) && file !== base) throw new Error('outside');
      if ((await stat(file)).isDirectory()) {
        if (!path.endsWith('/')) {
          response.writeHead(301, { location: `${path}/` });
          response.end();
          return;
        }
        file = join(file, 'index.html');
      }
      const body = await readFile(file);
      const type = TYPES[extname(file)] ?? 'application/octet-stream';
      const headers = { 'content-type': type, 'cache-control': 'no-store', vary: 'accept-encoding' };
      // Pictures are compressed as they are.
      const packs = type !== 'image/png' && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
      response.writeHead(200, packs ? { ...headers, 'content-encoding': 'gzip' } : headers);
      response.end(packs ? await packed(file, body) : body);
    } catch {
      response.writeHead(404, { 'content-type': 'text/plain' });
      response.end('not found');
    }
  });
  await new Promise((done, failed) => server.once('error', failed).listen(port, '127.0.0.1', done));
  return {
    url: `http://localhost:${server.address().port}`,
    close: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }),
  };
}

// node tests/lib/server.mjs PORT FOLDER
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port, root] = process.argv.slice(2);
  try {
    const { url } = await serve({ port: Number(port), root: resolve(root) });
    console.log(`${url}/`);
  } catch (error) {
    console.error(error.code === 'EADDRINUSE' ? `serve: port ${port} is taken; name another` : `serve: ${error.message}`);
    process.exit(1);
  }
}
