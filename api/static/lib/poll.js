// Repeats a question while its view is in sight and the answer goes on changing.

// ask() answers whether to ask again; a failure is its own business.
export function watch(node, milliseconds, ask) {
  let timer = 0;
  let shown = false;

  async function next() {
    clearTimeout(timer);
    const again = await ask();
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
