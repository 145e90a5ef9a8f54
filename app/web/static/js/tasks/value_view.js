/** Shows any JSON value as text. Values of agents are untrusted and never parsed as HTML. */

import { BASE, el } from "../display/dom.js";

/** Longer JSON inside an object is collapsed. */
const MAX_LINES = 12;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Texts are shown unchanged; multi-line texts in an object come first. Other values are shown as JSON.
 * @param {any} value
 * @returns {HTMLElement}
 */
export function viewValue(value) {
  if (typeof value === "string") return viewText(value);
  if (!isObject(value) || Object.keys(value).length === 0) return el("pre", { tabindex: 0 }, writeJson(value));
  if (isReference(value)) return viewReference(value.$artifact);
  const entries = Object.entries(value);
  const first = entries.filter(([, inner]) => isLongText(inner));
  const rest = entries.filter(([, inner]) => !isLongText(inner));
  return el("dl", { class: "value" }, ...[...first, ...rest].map(([key, inner]) => viewEntry(key, inner)));
}

/** An output that is too large for its event: a preview and a download link. */
function viewReference({ id, size, preview }) {
  const link = el("a", { href: `${BASE}/api/v1/artifacts/${id}`, download: true }, `Download the full value (${Number(size)} bytes)`);
  return el("div", { class: "artifact" }, viewText(`${String(preview ?? "")}…`), el("p", {}, link));
}

function isReference(value) {
  const keys = Object.keys(value);
  return keys.length === 1 && keys[0] === "$artifact" && UUID.test(value.$artifact?.id);
}

/** @param {any} value @returns {string} indented JSON */
export function writeJson(value) {
  return JSON.stringify(value ?? null, null, 2);
}

function viewEntry(key, value) {
  const plain = typeof value === "string" ? viewText(value) : isScalar(value) ? viewText(String(value)) : null;
  return el("div", {}, el("dt", {}, key), el("dd", {}, plain ?? viewStructure(value)));
}

function viewStructure(value) {
  const json = writeJson(value);
  const whole = el("pre", { tabindex: 0 }, json);
  if (json.split("\n").length <= MAX_LINES) return whole;
  const [count, noun] = Array.isArray(value) ? [value.length, "item"] : [Object.keys(value).length, "field"];
  return el("details", {}, el("summary", {}, `${count} ${noun}${count === 1 ? "" : "s"}`), whole);
}

function viewText(text) {
  if (isLongText(text)) return el("pre", { tabindex: 0 }, text);
  return el("span", { class: "plain" }, text === "" ? "–" : text);
}

function isLongText(value) {
  return typeof value === "string" && (value.includes("\n") || value.length > 200);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isScalar(value) {
  return value === null || typeof value === "number" || typeof value === "boolean";
}
