/**
 * A form drawn from an agent's input schema (JSON Schema 2020-12, as workers publish it).
 *
 * Understood beside the standard words: `x-widget: textarea`, and `x-file: true` for a text that a file may fill; what
 * is to be base64 is asked for as a file. What a form cannot say well, such as a list of objects, is asked for as JSON. What is marked as secret is never to be read on
 * the screen while it is typed: all of what no form can take apart is, when any of it is.
 */

import { Problem } from "./api.js";
import { el } from "./dom.js";
import * as controls from "./form_controls.js";
import { holdsSecret, isSecret } from "./secrecy.js";

/**
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {() => any} read the value; undefined when the field was left out. Throws Problem for what cannot be sent
 */

/**
 * @param {Record<string, any>} schema of an object
 * @param {string} [path] what the server's errors begin with
 * @returns {Field}
 */
export function makeForm(schema, path = "input") {
  return makeObject(path, schema, schema.default ?? {}, isSecret(schema));
}

function makeField(path, schema, required, initial, hidden = false) {
  const value = initial === undefined ? schema.default : initial;
  const hides = hidden || isSecret(schema);
  if (schema.oneOf && !schema.properties) return makeChoice(path, schema, value, hides);
  if (schema.type === "object" && schema.properties) return makeGroup(path, schema, value ?? {}, hides);
  if (hides || holdsSecret(schema)) return controls.makeSecret(path, schema, required);
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
  const chooser = isEitherOr(schema) ? makeEitherOr(path, schema, fields) : null;
  if (chooser) element.append(chooser.element);
  element.append(...fields.map((field) => field.element));
  return {
    element,
    read() {
      const value = {};
      for (const field of fields) {
        if (chooser?.leavesOut(field.name)) continue;
        const given = field.read();
        if (given === "" && chooser?.needs(field.name)) throw missing(`${path}.${field.name}`);
        if (given !== undefined) value[field.name] = given;
      }
      return value;
    },
  };
}

/** An object inside; folded away where nothing has to be given. */
function makeGroup(path, schema, initial, hidden) {
  const inner = makeObject(path, schema, initial, hidden);
  const folded = (schema.required ?? []).length === 0;
  const [outer, head] = folded ? ["details", "summary"] : ["fieldset", "legend"];
  const element = el(outer, { class: "group", dataset: { field: path } }, el(head, {}, controls.nameOf(path, schema)));
  if (schema.description) element.append(el("p", { class: "hint" }, schema.description));
  element.append(inner.element);
  return { element, read: inner.read };
}

/** `oneOf` that only says which fields go together: `[{required: [a]}, {required: [b]}]`. */
function isEitherOr(schema) {
  return schema.oneOf?.every((option) => Array.isArray(option.required) && !option.properties);
}

function namesOf(schema) {
  return schema.oneOf.flatMap((option) => option.required);
}

function makeEitherOr(path, schema, fields) {
  const options = schema.oneOf.map(({ title, required }) => {
    const names = required.map((name) => controls.nameOf(name, schema.properties[name] ?? {}));
    return { label: title ?? names.join(" and "), required };
  });
  const all = new Set(namesOf(schema));
  let chosen = options[0];
  const show = (place) => {
    chosen = options[place];
    for (const { name, element } of fields) element.hidden = all.has(name) && !chosen.required.includes(name);
  };
  const element = controls.makeSegments(path, "Choose one", options.map((option) => option.label), show);
  show(0);
  return {
    element,
    needs: (name) => chosen.required.includes(name),
    leavesOut: (name) => all.has(name) && !chosen.required.includes(name),
  };
}

/** `oneOf` with a whole schema for each option. */
function makeChoice(path, schema, initial, hidden) {
  const options = schema.oneOf.map((option) => makeField(path, option, true, initial, hidden));
  const labels = schema.oneOf.map((option, place) => option.title ?? option.description ?? `Option ${place + 1}`);
  let chosen = options[0];
  const show = (place) => {
    chosen = options[place];
    options.forEach((option) => (option.element.hidden = option !== chosen));
  };
  const segments = controls.makeSegments(path, controls.nameOf(path, schema), labels, show);
  const element = el("div", { class: "fields" }, segments, ...options.map((option) => option.element));
  show(0);
  return { element, read: () => chosen.read() };
}

function missing(field) {
  return new Problem({ status: 0, code: "invalid_input", detail: "this field is required", field });
}
