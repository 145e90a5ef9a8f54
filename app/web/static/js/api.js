/** The REST API as the pages use it. */

import { BASE } from "./dom.js";

/** A refusal: problem details (RFC 9457) as an error. */
export class Problem extends Error {
  /** @param {{status: number, detail?: string, title?: string, code?: string, field?: string, errors?: object[]}} body */
  constructor(body) {
    super(body.detail ?? body.title ?? "The server rejected the request");
    this.status = body.status;
    this.code = body.code;
    /** @type {{field: string, message: string}[]} */
    this.errors = body.errors ?? (body.field ? [{ field: body.field, message: this.message }] : []);
  }
}

/** @returns {Record<string, string>} what shows that a request comes from this page; nothing where nobody signs in */
export function proof() {
  const csrf = document.querySelector("meta[name=csrf]")?.content;
  return csrf ? { "X-CSRF-Token": csrf } : {};
}

/** @returns {boolean} whether somebody had signed in when the page was made */
export function isSignedIn() {
  return document.querySelector("meta[name=csrf]") !== null;
}

/** Whoever is not signed in any more does so, and comes back here. */
export function signInAgain() {
  location.assign(`${BASE}/login?next=${quote(location.pathname + location.search)}`);
}

/**
 * @param {string} method
 * @param {string} path below `/api/v1`
 * @param {{body?: any, headers?: Record<string, string>}} [request]
 * @returns {Promise<any>} the answer's JSON; null for none
 * @throws {Problem}
 */
export async function callApi(method, path, { body, headers = {} } = {}) {
  const options = { method, headers: { Accept: "application/json", ...proof(), ...headers } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(`${BASE}/api/v1${path}`, options);
  } catch {
    throw new Problem({ status: 0, code: "offline", detail: "The server cannot be reached. Try again in a moment." });
  }
  if (response.status === 401 && isSignedIn()) signInAgain();
  const text = await response.text();
  const answer = readJson(text);
  if (!response.ok) throw new Problem({ detail: response.statusText, ...answer, status: response.status });
  return answer;
}

/** @param {string} part @returns {string} */
export const quote = encodeURIComponent;

function readJson(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
