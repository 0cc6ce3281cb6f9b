// The system's Chromium with WebGPU, driven by Playwright.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/opt/google/chrome/chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Chromium's executable; undefined if there is none. `CHROMIUM` names another. */
export const executable = PLACES.find((place) => place && existsSync(place));

/**
 * A headless Chromium. WebGPU runs on SwiftShader, its software driver, unless `WGRAD_WEB_GPU=1`
 * asks for the machine's GPU.
 */
export function launch({ args = [] } = {}) {
  if (!executable) throw new Error('no Chromium found; install it, or set CHROMIUM to its executable');
  const adapter = process.env.WGRAD_WEB_GPU
    ? ['--enable-features=Vulkan']
    : ['--use-webgpu-adapter=swiftshader'];
  return chromium.launch({
    executablePath: executable,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--enable-unsafe-webgpu',
      ...adapter,
      ...args,
    ],
  });
}
