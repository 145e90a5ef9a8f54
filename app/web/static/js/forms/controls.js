/** Makes the controls of a form from a JSON Schema: label, hint, input, and a function that reads the value. */

import { Problem } from "../server/api.js";
import { el } from "../display/dom.js";

/** Longer texts get a textarea. */
const ONE_LINE = 300;

/** @param {string} path @param {Record<string, any>} schema @returns {string} the label of the field */
export function nameOf(path, schema) {
  const name = path.split(".").at(-1).replaceAll("_", " ");
  return schema.title ?? name.charAt(0).toUpperCase() + name.slice(1);
}

export function makeText(path, schema, required, value) {
  const attributes = { maxlength: schema.maxLength, placeholder: schema.examples?.[0], spellcheck: schema.format ? "false" : null };
  const long = schema["x-widget"] === "textarea" || (schema.maxLength ?? 0) > ONE_LINE && !schema.format;
  // `maxlength` would silently truncate a pasted text; the server reports one that is too long.
  if (long) delete attributes.maxlength;
  const type = { uri: "url", email: "email" }[schema.format] ?? "text";
  const input = long ? el("textarea", attributes) : el("input", { type, autocomplete: "off", ...attributes });
  input.value = value ?? "";
  const element = frame(path, schema, required, input);
  if (schema["x-file"]) element.append(makeFileChooser(path, input));
  return { element, read: () => input.value || (required || schema.default !== undefined ? "" : undefined) };
}

/** A masked input for a secret text, or for any other secret value as JSON. A default is not shown; it applies if the input is empty. */
export function makeSecret(path, schema, required) {
  const input = el("input", { type: "password", autocomplete: "off", spellcheck: "false" });
  const isText = takesText(schema);
  const description = isText ? schema.description : `${schema.description ?? ""} As JSON.`.trim();
  const described = { ...schema, description, default: undefined };
  const read = () => {
    if (isText) return input.value || (required ? "" : undefined);
    return readJson(path, input.value);
  };
  return { element: frame(path, described, required, input), read };
}

function takesText(schema) {
  if (schema.type !== undefined) return schema.type === "string";
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  return !choices || choices.some((choice) => choice.type === "string");
}

/** A file chooser that fills the field with the text of a file. */
function makeFileChooser(path, target) {
  const status = el("span", { role: "status" });
  const chooser = el("input", { type: "file", id: `${idOf(path)}-file`, accept: ".txt,.md,.markdown,text/*" });
  chooser.addEventListener("change", async () => {
    const [file] = chooser.files;
    if (!file) return;
    try {
      target.value = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      status.textContent = `${file.name} loaded`;
      target.dispatchEvent(new Event("input", { bubbles: true }));
    } catch {
      status.textContent = `${file.name} is not a text file in UTF-8`;
    }
    chooser.value = "";
  });
  return el("div", { class: "file" }, el("label", { for: chooser.id }, "or load a text file:"), chooser, status);
}

/** A file chooser for content that is sent in base64. */
export function makeFile(path, schema, required) {
  const input = el("input", { type: "file" });
  let content = "";
  input.addEventListener("change", () => {
    content = "";
    const [file] = input.files;
    if (!file) return;
    const reader = new FileReader();
    reader.addEventListener("load", () => (content = reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.readAsDataURL(file);
  });
  return { element: frame(path, schema, required, input), read: () => content || (required ? "" : undefined) };
}

export function makeNumber(path, schema, required, value) {
  const whole = schema.type === "integer";
  const input = el("input", {
    type: "number",
    inputmode: whole ? "numeric" : "decimal",
    step: whole ? "1" : "any",
    min: schema.minimum,
    max: schema.maximum,
  });
  input.value = value ?? "";
  const read = () => {
    if (input.validity.badInput) throw inputError(path, "must be a number");
    return input.value === "" ? undefined : Number(input.value);
  };
  return { element: frame(path, schema, required, input), read };
}

export function makeSelect(path, schema, required, value) {
  const values = schema.enum ?? [schema.const];
  const input = el("select");
  if (!required && value === undefined) input.add(new Option("–", ""));
  values.forEach((choice, place) => input.add(new Option(String(choice), String(place), false, choice === value)));
  const read = () => (input.value === "" ? undefined : values[Number(input.value)]);
  return { element: frame(path, schema, required, input), read };
}

export function makeCheckbox(path, schema, value) {
  const input = el("input", { type: "checkbox", id: idOf(path), "aria-describedby": schema.description ? `${idOf(path)}-hint` : null });
  input.checked = value === true;
  const text = el("span", {}, nameOf(path, schema));
  const element = el("div", { class: "field", dataset: { field: path } }, el("label", { class: "check" }, input, text));
  if (schema.description) element.append(el("p", { class: "hint", id: `${idOf(path)}-hint` }, schema.description));
  return { element, read: () => input.checked };
}

export function makeCheckboxes(path, schema, value) {
  const boxes = schema.items.enum.map((choice) => {
    const input = el("input", { type: "checkbox" });
    input.checked = value.includes(choice);
    return { choice, input, label: el("label", { class: "check" }, input, el("span", {}, String(choice))) };
  });
  const element = el("fieldset", { class: "field", dataset: { field: path } }, el("legend", {}, nameOf(path, schema)));
  if (schema.description) element.append(el("p", { class: "hint" }, schema.description));
  element.append(el("div", { class: "checks" }, ...boxes.map((box) => box.label)));
  return { element, read: () => boxes.filter((box) => box.input.checked).map((box) => box.choice) };
}

/** A list of texts, one per line. */
export function makeLines(path, schema, required, value) {
  const input = el("textarea", { class: "code", rows: 3 });
  input.value = value.join("\n");
  const described = { ...schema, description: `${schema.description ?? ""} One per line.`.trim() };
  const lines = () => input.value.split("\n").map((line) => line.trim()).filter(Boolean);
  return { element: frame(path, described, required, input), read: lines };
}

/** Any other value, as JSON. */
export function makeJson(path, schema, required, value) {
  const input = el("textarea", { class: "code", rows: 4, spellcheck: "false" });
  input.value = value === undefined ? "" : JSON.stringify(value, null, 2);
  const described = { ...schema, description: `${schema.description ?? ""} As JSON.`.trim() };
  return { element: frame(path, described, required, input), read: () => readJson(path, input.value) };
}

function readJson(path, text) {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (fault) {
    throw inputError(path, `must be JSON: ${fault.message}`);
  }
}

/** A choice between a few options. @param {(place: number) => void} choose @param {number} [start] the option that is selected at first */
export function makeSegments(path, legend, labels, choose, start = 0) {
  const options = labels.map((label, place) => {
    const input = el("input", { type: "radio", name: `${idOf(path)}-choice`, onchange: () => choose(place) });
    input.checked = place === start;
    return el("label", {}, input, el("span", {}, label));
  });
  return el("fieldset", { class: "field" }, el("legend", {}, legend), el("div", { class: "segments" }, ...options));
}

function frame(path, schema, required, input) {
  input.id = idOf(path);
  const label = el("label", { for: input.id }, `${nameOf(path, schema)} `);
  if (required) input.required = true;
  else if (schema.default === undefined) label.append(el("span", { class: "optional" }, "optional"));
  const element = el("div", { class: "field", dataset: { field: path } }, label);
  if (schema.description) {
    element.append(el("p", { class: "hint", id: `${input.id}-hint` }, schema.description));
    input.setAttribute("aria-describedby", `${input.id}-hint`);
  }
  element.append(input);
  return element;
}

function idOf(path) {
  return `field-${path.replace(/[^A-Za-z0-9_]/g, "-")}`;
}

function inputError(field, message) {
  return new Problem({ status: 0, code: "invalid_input", detail: message, field });
}
