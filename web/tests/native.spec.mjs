// The native run that the page is compared with (article.json), made again with the engine as it is.
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compareRuns } from './lib/article.mjs';

test("article.json is what the native engine computes", async () => {
  const target = process.env.CARGO_TARGET_DIR;
  const output = execFileSync(
    'cargo',
    ['run', '--quiet', '--locked', '--manifest-path', fileURLToPath(new URL('native/Cargo.toml', import.meta.url))],
    {
      encoding: 'utf8',
      env: { ...process.env, ...(target && { CARGO_TARGET_DIR: join(target, 'native') }) },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [now, kept] = [JSON.parse(output), JSON.parse(await readFile(new URL('article.json', import.meta.url), 'utf8'))];
  const worst = compareRuns(now, kept);
  console.log(`  ${now.adapter} is at most ${worst.toExponential(1)} off ${kept.adapter}`);
});
