// Programs for Node.js, on Dawn.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

// Dawn wants a newer driver than some systems have; Chromium brings one.
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const env = { ...process.env, ...(existsSync(SWIFTSHADER) && { VK_DRIVER_FILES: SWIFTSHADER, VK_ICD_FILENAMES: SWIFTSHADER }) };

/** Runs a program in a process of its own; resolves to the JSON that it prints last. */
export async function node(program, cwd) {
  const { stdout } = await promisify(execFile)(process.execPath, program, { cwd, timeout: 120_000, env }).catch(({ stderr }) => {
    // Without the lines of the package, which are long.
    throw new Error(stderr.split('\n').filter((line) => line.length < 300).join('\n'));
  });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}
