// Programs for Node.js and others like it, on Dawn.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

// Dawn wants a newer driver than some systems have; Chromium brings one.
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const env = { ...process.env, ...(existsSync(SWIFTSHADER) && { VK_DRIVER_FILES: SWIFTSHADER, VK_ICD_FILENAMES: SWIFTSHADER }) };

/** Runs a program in a process of its own; resolves to the JSON that it prints last. */
export const node = (program, cwd) => outputOf(process.execPath, program, cwd);

/** The same by another command, of a file with this text. */
export async function program([command, ...options], text, file) {
  await writeFile(file, text);
  return outputOf(command, [...options, file]);
}

async function outputOf(command, options, cwd) {
  const { stdout } = await promisify(execFile)(command, options, { cwd, timeout: 300_000, env }).catch(({ stderr }) => {
    // Without the lines of the package, which are long.
    throw new Error(stderr.split('\n').filter((line) => line.length < 300).join('\n'));
  });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}
