// The addresses of views: reads their parameters and builds addresses within one collection.
import { withQuery } from "./api.js";

export const parameters = () => new URLSearchParams(location.search);

// Returns a function that builds addresses within one collection; empty values are left out.
export const pageUrls = (collection) => (values) => withQuery("/", { collection, ...values });

// Returns the range of dates in an address, which browsing and searching share.
export function dateRangeOf(params) {
  const [from, to] = ["from", "to"].map((name) => {
    const day = params.get(name) ?? "";
    return /^\d{4}-\d\d-\d\d$/.test(day) ? day : null;
  });
  return { from, to };
}
