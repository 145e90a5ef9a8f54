/** Submits a form, one request at a time, and shows each error at its field. */

import { Problem } from "../server/api.js";
import { el } from "../display/dom.js";

/**
 * Enables the form's button, which templates render disabled: before this script runs, a browser would submit the form
 * itself and put its fields, a password too, into the address.
 *
 * @param {HTMLFormElement} form fields are the elements with `data-field`; `.form-error` shows all other errors
 * @param {() => Promise<void>} send throws a Problem
 */
export function handleSubmit(form, send) {
  const button = form.querySelector("[type=submit]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    clearErrors(form);
    try {
      await send();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(form, problem);
    } finally {
      button.disabled = false;
    }
  });
  button.disabled = false;
}

/** @param {HTMLFormElement} form @param {Problem} problem */
export function showProblem(form, problem) {
  const unplaced = problem.errors.length ? [] : [problem.message];
  for (const { field, message } of problem.errors) {
    const place = findPlace(form, field);
    if (place) showAt(place, beginSentence(message, field));
    else unplaced.push(message.startsWith(field) ? message : `${field}: ${message}`);
  }
  const summary = form.querySelector(".form-error");
  summary.textContent = unplaced.join("\n");
  summary.hidden = unplaced.length === 0;
  form.querySelector("[aria-invalid]")?.focus();
}

function clearErrors(form) {
  for (const message of form.querySelectorAll(".field-error")) message.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-errormessage");
  }
  form.querySelector(".form-error").hidden = true;
}

/** Return the element of the field, or of the innermost part around it: `input.brand.words[2]`, then `input.brand.words`… */
function findPlace(form, field) {
  for (let name = field; name; name = name.replace(/(\.[^.[]*|\[\d+\]|^[^.[]+)$/, "")) {
    const place = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
    if (!place || place.closest("[hidden]")) continue;
    for (let box = place.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    return place;
  }
  return null;
}

/** Return a message to show at its field: without the field's name, and with a capital letter. */
function beginSentence(message, field) {
  const text = message.startsWith(`${field} must `) ? message.slice(field.length + 1) : message;
  return text.replace(/^[a-z]+(?= )/, (word) => word.charAt(0).toUpperCase() + word.slice(1));
}

function showAt(place, message) {
  const id = `error-${place.dataset.field.replace(/[^A-Za-z0-9_-]/g, "-")}`;
  if (!place.querySelector(`:scope > #${CSS.escape(id)}`)) {
    place.append(el("p", { class: "field-error", id, role: "alert" }, message));
  }
  const control = place.querySelector("input, select, textarea");
  control?.setAttribute("aria-invalid", "true");
  control?.setAttribute("aria-errormessage", id);
}
