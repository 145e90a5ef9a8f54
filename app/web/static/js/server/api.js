/** Calls the REST API for the pages. */

import { BASE } from "../display/dom.js";

/** An error response: problem details (RFC 9457). */
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

/** @returns {Record<string, string>} the CSRF header; empty without a signed-in user */
export function csrfHeaders() {
  const csrf = document.querySelector("meta[name=csrf]")?.content;
  return csrf ? { "X-CSRF-Token": csrf } : {};
}

/** @returns {boolean} whether the page was rendered for a signed-in user */
export function isSignedIn() {
  return document.querySelector("meta[name=csrf]") !== null;
}

/** Open the sign-in page, which leads back to this page. */
export function signInAgain() {
  location.assign(`${BASE}/login?next=${quote(location.pathname + location.search)}`);
}

/**
 * @param {string} method
 * @param {string} path below `/api/v1`
 * @param {{body?: any, headers?: Record<string, string>}} [request]
 * @returns {Promise<any>} the JSON of the response; null if empty
 * @throws {Problem}
 */
export async function callApi(method, path, { body, headers = {} } = {}) {
  const options = { method, headers: { Accept: "application/json", ...csrfHeaders(), ...headers } };
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
  const result = readJson(text);
  if (!response.ok) throw new Problem({ detail: response.statusText, ...result, status: response.status });
  return result;
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
