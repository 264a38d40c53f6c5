// Formats values as text.

export const fileName = (path) => path.split(/[\\/]/).pop() || path;
export const percent = (fraction) => `${Math.round(fraction * 100)}%`;
export const count = (number, one, many) => `${number.toLocaleString()} ${number === 1 ? one : many}`;
export const isWebUrl = (path) => /^https?:\/\//i.test(path);

export function size(bytes) {
  const [divisor, unit] = bytes < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return `${(bytes / divisor).toFixed(1)} ${unit}`;
}

export function dateTime(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export function duration(seconds) {
  if (seconds < 90) return count(Math.max(1, Math.round(seconds)), "second", "seconds");
  if (seconds < 5400) return count(Math.round(seconds / 60), "minute", "minutes");
  return `${(seconds / 3600).toFixed(1)} hours`;
}

// Formats a range of dates; one of the two may be null.
export function dateRange(from, to) {
  const day = (text) => new Date(`${text}T12:00`).toLocaleDateString(undefined, { dateStyle: "medium" });
  if (from && to) return from === to ? `on ${day(from)}` : `from ${day(from)} to ${day(to)}`;
  return from ? `since ${day(from)}` : `until ${day(to)}`;
}
