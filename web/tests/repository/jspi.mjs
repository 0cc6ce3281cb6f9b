// The JavaScript side of pollster/: see there.
let woken = false;
let resume;

export function wake() {
  woken = true;
  resume?.();
}

export const suspend = new WebAssembly.Suspending(async () => {
  if (!woken) {
    await new Promise((resolve) => { resume = resolve; });
    resume = undefined;
  }
  woken = false;
});
