/** Sends requests to the REST API: tokens, time limits, repetition, and errors as classes. */

import { Deadline, sleep } from "./deadline.js";
import { ApiError, ConnectionFailed, makeApiError, TimedOut } from "./errors.js";

/** @typedef {import("./task_websocket_client.js").TokenSource} TokenSource */
/**
 * @typedef {object} RequestOptions
 * @property {Record<string, string | number | boolean | null | undefined> | undefined} [params] the query; null and undefined
 *   are left out
 * @property {unknown} [json] the body
 * @property {Record<string, string> | undefined} [headers]
 * @property {AbortSignal | undefined} [signal] ends the request
 * @property {boolean} [repeatable] whether the request may be sent again after a lost response; GET, PUT and DELETE are
 */

/** A request is sent at most this often. */
const MOST_TRIES = 4;
/** Milliseconds before a request is repeated where the server names no time. */
const PAUSE = 250;
const REPEATABLE = new Set(["GET", "PUT", "DELETE"]);

export class HttpConnection {
  #token;
  #timeout;
  #fetch;
  /** @type {Promise<string> | null} the token in use */
  #shown = null;

  /**
   * @param {string} url the server, with the path that it is served below
   * @param {{token: TokenSource | undefined, timeout: number, fetch: typeof globalThis.fetch}} options `timeout` in milliseconds
   */
  constructor(url, options) {
    this.url = url.replace(/\/+$/, "");
    this.#token = options.token;
    this.#timeout = options.timeout;
    this.#fetch = options.fetch;
  }

  /**
   * Send a request, and send it again when that is safe: after a lost response, or when the server asks for it.
   * @param {string} method
   * @param {string} path such as `/api/v1/agents`
   * @param {RequestOptions} [options]
   * @returns {Promise<{status: number, body: any}>}
   * @throws {ApiError | ConnectionFailed | TimedOut}
   */
  async send(method, path, options = {}) {
    const repeatable = options.repeatable ?? REPEATABLE.has(method);
    for (let tries = 1; ; tries++) {
      try {
        return await this.#try(method, path, options);
      } catch (/** @type {any} */ fault) {
        const pause = tries < MOST_TRIES ? this.#pauseAfter(fault, repeatable, tries) : null;
        if (pause === null) throw fault;
        await sleep(pause, options.signal);
      }
    }
  }

  /**
   * @param {unknown} fault @param {boolean} repeatable @param {number} tries
   * @returns {number | null} milliseconds until the next try; null: none
   */
  #pauseAfter(fault, repeatable, tries) {
    if (fault instanceof ConnectionFailed) return repeatable ? PAUSE * tries : null;
    if (!(fault instanceof ApiError)) return null;
    // A function may return a newer token than the one that the server refused.
    if (fault.status === 401) return typeof this.#token === "function" && tries === 1 ? 0 : null;
    // A request over a rate was not performed.
    const isSafe = repeatable || fault.code === "rate_limited";
    if (!isSafe || fault.retryAfter === null) return null;
    const pause = fault.retryAfter * 1000;
    return pause <= this.#timeout ? pause : null;
  }

  /** @param {string} method @param {string} path @param {RequestOptions} options */
  async #try(method, path, { params, json, headers, signal }) {
    const shown = await this.#present();
    const body = json === undefined ? undefined : JSON.stringify(json);
    const sent = {
      Accept: "application/json",
      ...(body !== undefined && { "Content-Type": "application/json" }),
      ...(shown !== undefined && { Authorization: `Bearer ${shown}` }),
      ...headers,
    };
    const deadline = new Deadline(this.#timeout, signal);
    let response, text;
    try {
      // Browsers refuse `fetch` as a method of another object.
      const call = this.#fetch;
      const request = { method, headers: sent, signal: deadline.signal, ...(body !== undefined && { body }) };
      response = await call(this.url + path + queryOf(params), request);
      text = await response.text();
    } catch (/** @type {any} */ fault) {
      if (signal?.aborted) throw signal.reason;
      if (deadline.isLate) throw new TimedOut(`no response from ${this.url || "the server"} within ${this.#timeout} ms`);
      throw new ConnectionFailed(`${this.url || "the server"} cannot be reached: ${reasonOf(fault)}`, fault);
    } finally {
      deadline.clear();
    }
    if (response.status === 401) this.#shown = null;
    return { status: response.status, body: readBody(response, text) };
  }

  /** @returns {Promise<string | undefined>} the token to show; a function is asked again after a refusal */
  async #present() {
    if (typeof this.#token !== "function") return this.#token?.trim();
    const ask = this.#token;
    this.#shown ??= Promise.resolve().then(() => ask());
    try {
      return (await this.#shown).trim();
    } catch (fault) {
      this.#shown = null;
      throw fault;
    }
  }
}

/** @param {Response} response @param {string} text @returns {any} */
function readBody(response, text) {
  /** @type {any} */
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    // A proxy in between answered with a page.
    if (response.ok) throw new ApiError({ code: "not_json", detail: "no JSON came: is it a Swallowtail server?" });
  }
  if (response.ok) return body;
  const pause = Number(response.headers.get("Retry-After") || NaN);
  const problem = { title: response.statusText, ...body, status: response.status };
  throw makeApiError(problem, Number.isFinite(pause) ? pause : null);
}

/** @param {RequestOptions["params"]} params @returns {string} */
function queryOf(params = {}) {
  const present = Object.entries(params).filter(([, value]) => value !== undefined && value !== null);
  const query = new URLSearchParams(present.map(([name, value]) => [name, String(value)])).toString();
  return query && `?${query}`;
}

/** @param {any} fault of `fetch` @returns {string} */
function reasonOf(fault) {
  return String(fault?.cause?.code ?? fault?.cause?.message ?? fault?.message ?? fault);
}
