// The addresses of views: what is in them, and how those within one collection are made.
import { withQuery } from "./api.js";

export const parameters = () => new URLSearchParams(location.search);

// Answers a function that makes addresses within one collection; empty values are left out.
export const addressesIn = (collection) => (values) => withQuery("/", { collection, ...values });

// The conditions of an address that both browsing and searching have, as the API calls them.
export function daysOf(params) {
  const [from, to] = ["from", "to"].map((name) => {
    const day = params.get(name) ?? "";
    return /^\d{4}-\d\d-\d\d$/.test(day) ? day : null;
  });
  return { from, to };
}
