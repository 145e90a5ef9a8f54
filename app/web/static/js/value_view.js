/** Any JSON value as text to read. What agents return is not to be trusted: it is never parsed as HTML. */

import { el } from "./dom.js";

/**
 * Text stands as it is, and so do texts of several lines inside an object, Markdown among them; the rest is JSON.
 * @param {any} value
 * @returns {HTMLElement}
 */
export function viewValue(value) {
  if (typeof value === "string") return viewText(value);
  if (!isObject(value) || Object.keys(value).length === 0) return el("pre", { tabindex: 0 }, writeJson(value));
  return el("dl", { class: "value" }, ...Object.entries(value).map(([key, inner]) => viewEntry(key, inner)));
}

/** @param {any} value @returns {string} JSON with indents */
export function writeJson(value) {
  return JSON.stringify(value ?? null, null, 2);
}

function viewEntry(key, value) {
  const plain = typeof value === "string" ? viewText(value) : isScalar(value) ? viewText(String(value)) : null;
  return el("div", {}, el("dt", {}, key), el("dd", {}, plain ?? el("pre", { tabindex: 0 }, writeJson(value))));
}

function viewText(text) {
  if (text.includes("\n") || text.length > 200) return el("pre", { tabindex: 0 }, text);
  return el("span", { class: "plain" }, text === "" ? "–" : text);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isScalar(value) {
  return value === null || typeof value === "number" || typeof value === "boolean";
}
