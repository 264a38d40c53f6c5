// Repeats a request while its view is shown and the answer can still change.

// load() returns whether to load again; it handles its own errors.
export function poll(node, milliseconds, load) {
  let timer = 0;
  let shown = false;

  async function next() {
    clearTimeout(timer);
    const again = await load();
    clearTimeout(timer);
    if (shown && again) timer = setTimeout(next, milliseconds);
  }

  node.addEventListener("shown", () => {
    shown = true;
    next();
  });
  node.addEventListener("left", () => {
    shown = false;
    clearTimeout(timer);
  });
  return next;
}
