// Keeping the main thread free.

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Ends the present task, so that the page can answer a person before the next. */
export const breathe = () => globalThis.scheduler?.yield?.() ?? wait(0);

/** Resolves once the tab is seen. */
export async function whenVisible() {
  while (document.hidden) {
    await new Promise((resolve) =>
      document.addEventListener('visibilitychange', resolve, { once: true }));
  }
}
