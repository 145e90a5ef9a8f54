/**
 * Makes a form from an agent's input schema (JSON Schema 2020-12).
 *
 * Extensions: `x-widget: textarea`, and `x-file: true` for a text that can be loaded from a file. Base64 content gets a
 * file chooser. Values without a suitable control, such as lists of objects, are entered as JSON. Secret values are
 * masked; a value that is entered as JSON is masked if any part of it is secret.
 */

import { Problem } from "../server/api.js";
import { el } from "../display/dom.js";
import * as controls from "./controls.js";
import { containsSecret, isSecret } from "./secret_fields.js";

/**
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {() => any} read the value; undefined if the field is empty. Throws Problem for invalid input
 */

/**
 * @param {Record<string, any>} schema of an object
 * @param {Record<string, any>} [values] what the fields show at first, instead of their defaults
 * @param {string} [path] prefix of field names in the server's errors
 * @returns {Field}
 */
export function makeForm(schema, values = {}, path = "input") {
  return makeObject(path, schema, { ...schema.default, ...values }, isSecret(schema));
}

function makeField(path, schema, required, initial, hidden = false) {
  const value = initial === undefined ? schema.default : initial;
  const hides = hidden || isSecret(schema);
  if (schema.oneOf && !schema.properties) return makeChoice(path, schema, value, hides);
  if (schema.type === "object" && schema.properties) return makeGroup(path, schema, value ?? {}, hides);
  if (hides || containsSecret(schema)) return controls.makeSecret(path, schema, required);
  if (schema.enum || schema.const !== undefined) return controls.makeSelect(path, schema, required, value);
  if (schema.type === "boolean") return controls.makeCheckbox(path, schema, value);
  if (schema.type === "number" || schema.type === "integer") return controls.makeNumber(path, schema, required, value);
  if (schema.type === "array" && schema.items?.enum) return controls.makeCheckboxes(path, schema, value ?? []);
  if (schema.type === "array" && schema.items?.type === "string") return controls.makeLines(path, schema, required, value ?? []);
  if (schema.contentEncoding === "base64") return controls.makeFile(path, schema, required);
  if (schema.type === "string") return controls.makeText(path, schema, required, value);
  return controls.makeJson(path, schema, required, value);
}

function makeObject(path, schema, initial, hidden) {
  const required = new Set([...(schema.required ?? []), ...(isEitherOr(schema) ? namesOf(schema) : [])]);
  const fields = Object.entries(schema.properties ?? {}).map(([name, inner]) => {
    return { name, ...makeField(`${path}.${name}`, inner, required.has(name), initial[name], hidden) };
  });
  const element = el("div", { class: "fields" });
  const chooser = isEitherOr(schema) ? makeEitherOr(path, schema, fields, initial) : null;
  if (chooser) element.append(chooser.element);
  element.append(...fields.map((field) => field.element));
  return {
    element,
    read() {
      const value = {};
      for (const field of fields) {
        if (chooser?.leavesOut(field.name)) continue;
        const data = field.read();
        if (data === "" && chooser?.needs(field.name)) throw missing(`${path}.${field.name}`);
        if (data !== undefined) value[field.name] = data;
      }
      return value;
    },
  };
}

/** A nested object; collapsed if no field is required. */
function makeGroup(path, schema, initial, hidden) {
  const inner = makeObject(path, schema, initial, hidden);
  const folded = (schema.required ?? []).length === 0;
  const [outer, head] = folded ? ["details", "summary"] : ["fieldset", "legend"];
  const element = el(outer, { class: "group", dataset: { field: path } }, el(head, {}, controls.nameOf(path, schema)));
  if (schema.description) element.append(el("p", { class: "hint" }, schema.description));
  element.append(inner.element);
  return { element, read: inner.read };
}

/** `oneOf` that only lists alternative required fields: `[{required: [a]}, {required: [b]}]`. */
function isEitherOr(schema) {
  return schema.oneOf?.every((option) => Array.isArray(option.required) && !option.properties);
}

function namesOf(schema) {
  return schema.oneOf.flatMap((option) => option.required);
}

function makeEitherOr(path, schema, fields, initial) {
  const options = schema.oneOf.map(({ title, required }) => {
    const names = required.map((name) => controls.nameOf(name, schema.properties[name] ?? {}));
    return { label: title ?? names.join(" and "), required };
  });
  const all = new Set(namesOf(schema));
  const start = Math.max(0, options.findIndex(({ required }) => required.every((name) => initial[name] !== undefined)));
  let selection = options[start];
  const show = (place) => {
    selection = options[place];
    for (const { name, element } of fields) element.hidden = all.has(name) && !selection.required.includes(name);
  };
  const element = controls.makeSegments(path, "Choose one", options.map((option) => option.label), show, start);
  show(start);
  return {
    element,
    needs: (name) => selection.required.includes(name),
    leavesOut: (name) => all.has(name) && !selection.required.includes(name),
  };
}

/** `oneOf` with a schema for each option. */
function makeChoice(path, schema, initial, hidden) {
  const options = schema.oneOf.map((option) => makeField(path, option, true, initial, hidden));
  const labels = schema.oneOf.map((option, place) => option.title ?? option.description ?? `Option ${place + 1}`);
  let selection = options[0];
  const show = (place) => {
    selection = options[place];
    options.forEach((option) => (option.element.hidden = option !== selection));
  };
  const segments = controls.makeSegments(path, controls.nameOf(path, schema), labels, show);
  const element = el("div", { class: "fields" }, segments, ...options.map((option) => option.element));
  show(0);
  return { element, read: () => selection.read() };
}

function missing(field) {
  return new Problem({ status: 0, code: "invalid_input", detail: "this field is required", field });
}
